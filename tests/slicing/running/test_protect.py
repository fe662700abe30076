"""Where a network decides on autocast, that of a caller changes nothing: at widths, in training, taken out."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.networks import LAW, assert_same
from tests.traps import Network
from tests.traps.soundness import assert_sound
from widthwise.elastic import Elastic
from widthwise.graph import as_example, find_protected_devices, trace_network
from widthwise.slicing import SlicedNetwork

Function = Callable[[Any, Tensor], Tensor]


def _off(s: Any, x: Tensor) -> Tensor:
    y = s.a(x).relu()
    with torch.autocast("cpu", enabled=False):
        y = s.b(y.float()).tanh()
    return s.o(y)


def _on(s: Any, x: Tensor) -> Tensor:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = s.b(s.a(x).relu()).tanh()
    return s.o(y.float())


def _off_inside_on(s: Any, x: Tensor) -> Tensor:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = s.a(x).relu()
        with torch.autocast("cpu", enabled=False):
            y = s.b(y.float()).tanh()
        return s.o(y).float()


def _on_inside_off(s: Any, x: Tensor) -> Tensor:
    y = s.a(x)
    with torch.autocast("cpu", enabled=False):
        y = s.b(y.float()).tanh()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            y = s.b(y)
        return s.o(s.b(y.float()))


def _off_after_a_norm(s: Any, x: Tensor) -> Tensor:
    """A batch norm is traced a second time in training, which leaves out casts that do nothing."""
    y = s.n(s.a(x))
    with torch.autocast("cpu", enabled=False):
        y = s.b(y.float()).tanh()
    return s.o(y)


def _off_on_two_devices(s: Any, x: Tensor) -> Tensor:
    y = s.a(x)
    with torch.autocast("cpu", enabled=False), torch.autocast("cuda", enabled=False):
        y = s.b(y.float())
    return s.o(y)


FUNCTIONS: dict[str, Function] = {
    "off": _off, "on": _on, "off inside on": _off_inside_on, "on inside off": _on_inside_off,
    "off after a norm": _off_after_a_norm, "off on two devices": _off_on_two_devices,
}  # fmt: skip
OUTER = [None, torch.bfloat16, torch.float16]


def make(function: Function) -> Network:
    torch.manual_seed(0)
    parts = {"a": nn.Linear(5, 6), "b": nn.Linear(6, 6), "n": nn.BatchNorm1d(6), "o": nn.Linear(6, 3)}
    return Network(function, **parts)


@pytest.mark.filterwarnings("ignore:User provided device_type of 'cuda':UserWarning")
@pytest.mark.parametrize("outer", OUTER)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_traced_network_is_the_plain_one_under_autocast(name: str, outer: torch.dtype | None) -> None:
    net, x = make(FUNCTIONS[name]).train(), torch.randn(4, 5)
    plain, runner = copy.deepcopy(net), SlicedNetwork(net, as_example((x,))).current
    with torch.autocast("cpu", dtype=outer, enabled=outer is not None):
        _, (got,) = runner.run({}, [x])
        expected = plain(x)
    assert torch.equal(got, expected)
    assert got.dtype is expected.dtype
    got.float().square().sum().backward()
    expected.float().square().sum().backward()
    for one, other in zip(net.parameters(), plain.parameters(), strict=True):
        assert (one.grad is None) == (other.grad is None)
        if one.grad is not None and other.grad is not None:
            torch.testing.assert_close(one.grad, other.grad)


@pytest.mark.filterwarnings("ignore:User provided device_type of 'cuda':UserWarning")
@pytest.mark.parametrize("outer", OUTER)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_both_forms_that_are_taken_out_are_protected_too(name: str, outer: torch.dtype | None) -> None:
    model, x = Elastic(make(FUNCTIONS[name]), (torch.randn(4, 5),), law=LAW).eval(), torch.randn(3, 5)
    forms = [model.extract(0.5, form=form) for form in ("module", "graph")]
    with torch.autocast("cpu", dtype=outer, enabled=outer is not None), torch.no_grad():
        with model.at(0.5):
            expected = model(x)
        for small in (*forms, copy.deepcopy(forms[1])):
            assert torch.equal(small(x), expected)


def test_the_caller_s_autocast_is_back_after_an_error_inside() -> None:
    runner = SlicedNetwork(make(_off), as_example((torch.randn(4, 5),))).evaluation
    wrong = [*runner.cut_state({})[:-1], torch.randn(3, 3)]
    wrong[2] = torch.randn(7, 7)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        with pytest.raises(RuntimeError):
            runner.program.run((), wrong, [torch.randn(4, 5)])
        assert torch.is_autocast_enabled("cpu")


def test_what_is_protected_is_sound_and_the_rest_is_not_marked() -> None:
    network = SlicedNetwork(make(_off), as_example((torch.randn(4, 5),)))
    assert network.groups.sizes == {"a": 6, "b": 6}
    assert_sound(network)
    trace = trace_network(make(_off_inside_on), as_example((torch.randn(4, 5),)))
    marked = {node.name for node in trace.graph.nodes if find_protected_devices(node)}
    assert marked >= {node.name for node in trace.graph.nodes if node.target is torch.ops.aten.linear.default}
    trace = trace_network(make(_off), as_example((torch.randn(4, 5),)))
    linear = [node for node in trace.graph.nodes if node.target is torch.ops.aten.linear.default]
    assert [find_protected_devices(node) for node in linear] == [(), ("cpu",), ()]


def test_a_loop_runs_its_body_as_protected_as_it_is() -> None:
    def branch(s: Any, x: Tensor) -> Tensor:
        def inner(y: Tensor) -> Tensor:
            with torch.autocast("cpu", enabled=False):
                return s.b(y.float())

        return s.o(torch.cond(x.sum() > 0, inner, lambda y: y.sin().float(), (s.a(x),)))

    model, x = Elastic(make(branch), (torch.rand(4, 5),), law=LAW).eval(), torch.rand(3, 5)
    with torch.no_grad(), model.at(0.5):
        expected = model(x)
        small = model.extract(0.5, form="graph")
        with torch.autocast("cpu", dtype=torch.bfloat16):
            got = model(x)
        assert got.dtype is torch.bfloat16
        assert_same(small(x), expected)
        assert float((got - expected).abs().max()) < 0.05
