from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.networks import assert_same
from tests.traps import Network
from tests.traps.soundness import assert_sound
from widthwise.graph import as_example
from widthwise.slicing import SlicedNetwork


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("is_single", [False, True])
def test_an_assignment_has_a_value_and_a_derivative(dtype: torch.dtype, is_single: bool) -> None:
    def assign(s: Any, x: Tensor) -> Tensor:
        y, z = s.a(x), s.b(x).to(dtype)
        y[:, :4] = z.mean(1, True) if is_single else z
        return s.o(y.relu())

    torch.manual_seed(0)
    net = Network(assign, a=nn.Linear(5, 6), b=nn.Linear(5, 4), o=nn.Linear(6, 3)).double().train()
    x = torch.randn(4, 5, dtype=torch.float64)
    network = SlicedNetwork(net, as_example((x,)))
    _, (got,) = network.current.run({}, [x])
    expected = net(x)
    assert_same(got.detach(), expected.detach())
    parameters = list(net.parameters())
    ours, theirs = (torch.autograd.grad(each.square().sum(), parameters) for each in (got, expected))
    for one, other in zip(ours, theirs, strict=True):
        assert_same(one, other)


def test_units_that_are_assigned_may_go() -> None:
    def assign(s: Any, x: Tensor) -> Tensor:
        y = x.new_zeros(x.shape[0], 2, 6)
        y[:, 0] = s.a(x)
        y[:, 1] = s.b(x)
        return s.o(y).flatten(1)

    net = Network(assign, a=nn.Linear(5, 6), b=nn.Linear(5, 6), o=nn.Linear(6, 3)).eval()
    network = SlicedNetwork(net, as_example((torch.randn(4, 5),)))
    assert network.groups.sizes == {"a": 6}
    assert_sound(network)


def test_two_buffers_may_be_given_one_value() -> None:
    def assign(s: Any, x: Tensor) -> Tensor:
        y = s.a(x)
        for buffer in (s.first, s.second):
            buffer.copy_(y.detach().mean(0))
        return s.o(y - s.first + s.second * 2)

    parts = {"a": nn.Linear(5, 6), "o": nn.Linear(6, 3), "first": torch.zeros(6), "second": torch.zeros(6)}
    net, x = Network(assign, **parts).eval(), torch.randn(4, 5)
    runner = SlicedNetwork(net, as_example((x,))).evaluation
    values, (got,) = runner.run({}, [x])
    assert len(values) == 2
    assert_same(got.detach(), net(x).detach())
    for value in values:
        assert_same(value, net.get_buffer("first"))
