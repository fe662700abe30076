"""A traced network has the gradients of the plain one, also where it switches them off, or it is refused."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, fx, nn

from tests.networks import assert_same
from tests.traps import Network
from widthwise._shared import TraceError
from widthwise.graph import as_example
from widthwise.graph.gradients import note_gradients
from widthwise.slicing import SlicedNetwork

Function = Callable[[Any, Tensor], Tensor]


def _inside_autocast(s: Any, x: Tensor) -> Tensor:
    with torch.autocast("cpu", enabled=False):
        y = s.a(x)
        with torch.no_grad():
            z = s.b(y).sigmoid()
    return s.o(y * z)


def _around_a_branch(s: Any, x: Tensor) -> Tensor:
    y = s.a(x)
    with torch.no_grad():
        z = torch.cond(x.sum() > 0, lambda v: s.b(v).exp(), lambda v: v.sin(), (y,)).tanh()
    return s.o(y * z)


def _hand_on(s: Any, x: Tensor) -> Tensor:
    """Numbers that are of the dtype already are the same tensor, gradients and all."""
    y = s.a(x)
    with torch.no_grad():
        z = y.double()
        w = z.contiguous() * 2
    return s.o(z + w)


def _go_in_and_out(s: Any, x: Tensor) -> Tensor:
    y = s.a(x)
    with torch.no_grad():
        z = s.b(y).view(-1, 2, 3)
        with torch.enable_grad():
            w = s.b(z.flatten(1)) * y
        v = z.flatten(1) + w
    return s.o(y + z.flatten(1) + w + v)


def _average(s: Any, x: Tensor) -> Tensor:
    y = s.a(x)
    with torch.no_grad():
        s.mean.mul_(0.9).add_(y.mean(0), alpha=0.1)
    return s.o(y - s.mean)


def _write_to_new_values(s: Any, x: Tensor) -> Tensor:
    y = s.a(x)
    with torch.no_grad():
        z = y * 2
        z[:, :2] = 0
    w = y.detach().clone()
    w += 1
    v = torch.zeros_like(y)
    v[:, :2] = y[:, :2]
    v[:, 2:4] = s.b(y)[:, 2:4]
    v[:, 4:] = s.b(y).float().mean(1, True)
    v.relu_()
    return s.o(y * z + w + v)


KEPT: dict[str, Function] = {
    "inside autocast": _inside_autocast, "around a branch": _around_a_branch, "handed on": _hand_on,
    "in and out": _go_in_and_out, "a running average": _average, "new values": _write_to_new_values,
}  # fmt: skip


def _write(s: Any, x: Tensor) -> Tensor:
    y = s.a(x)
    with torch.no_grad():
        y.mul_(3)
    return s.o(y)


def _write_a_part(s: Any, x: Tensor) -> Tensor:
    y = s.a(x).clone()
    with torch.no_grad():
        y[:, :2] = 0
    return s.o(y)


def _write_through_detach(s: Any, x: Tensor) -> Tensor:
    y = s.a(x)
    y.detach().view(-1).mul_(3)
    return s.o(y)


def _write_where_gradients_came(s: Any, x: Tensor) -> Tensor:
    y = torch.zeros(x.shape[0], 6, dtype=x.dtype)
    y += s.a(x)
    with torch.no_grad():
        y.clamp_(min=0)
    return s.o(y)


def _write_in_a_branch(s: Any, x: Tensor) -> Tensor:
    def inner(y: Tensor) -> Tensor:
        z = s.b(y)
        with torch.no_grad():
            z.mul_(3)
        return z

    return s.o(torch.cond(x.sum() > 0, inner, lambda y: y.sin(), (s.a(x),)))


LOST: list[Function] = [
    _write, _write_a_part, _write_through_detach, _write_where_gradients_came, _write_in_a_branch,
]  # fmt: skip


def make(function: Function) -> Network:
    torch.manual_seed(0)
    parts = {"a": nn.Linear(5, 6), "b": nn.Linear(6, 6), "o": nn.Linear(6, 3), "mean": torch.zeros(6)}
    return Network(function, **parts).double()


@pytest.mark.parametrize("name", KEPT)
def test_the_traced_network_has_the_gradients_of_the_plain_one(name: str) -> None:
    net, x = make(KEPT[name]).train(), torch.rand(4, 5, dtype=torch.float64)
    plain, runner = copy.deepcopy(net), SlicedNetwork(net, as_example((x,))).current
    _, (got,) = runner.run({}, [x])
    with torch.compiler.set_stance("force_eager"):
        expected = plain(x)
    assert_same(got.detach(), expected.detach())
    got.square().sum().backward()
    expected.square().sum().backward()
    for one, other in zip(net.parameters(), plain.parameters(), strict=True):
        assert (one.grad is None) == (other.grad is None)
        if one.grad is not None and other.grad is not None:
            assert_same(one.grad, other.grad)


@pytest.mark.parametrize("function", LOST)
def test_a_write_that_would_lose_gradients_is_refused(function: Function) -> None:
    with pytest.raises(TraceError) as caught:
        SlicedNetwork(make(function), as_example((torch.rand(4, 5, dtype=torch.float64),)))
    assert str(caught.value).startswith("values that carry gradients must be written with them, but aten.")
    assert str(caught.value).endswith(
        "writes over some inside torch.no_grad(), or through detach(); make a new value, as in y = y + (f(y) - "
        "y).detach()"
    )


def test_nodes_are_made_as_ever_afterwards() -> None:
    create = fx.Graph.create_node
    with note_gradients(), torch.no_grad():
        assert fx.Graph().placeholder("x").meta
    assert fx.Graph.create_node is create
    with torch.no_grad(), note_gradients():
        assert not fx.Graph().placeholder("x").meta
