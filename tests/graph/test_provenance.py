import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.traps import Network
from widthwise.graph import Atom, Example, Solver, StateAxes, find_counts, infer_axes, trace_network
from widthwise.graph.formula import Formula


def find(function: Callable[..., Any], *inputs: Tensor, **parts: Any) -> dict[str, Formula]:
    """The numbers that follow from sizes, by the name of their node."""
    parts = {"a": nn.Linear(5, 8), "b": nn.Linear(5, 8), "o": nn.Linear(8, 3)} | parts
    net, example = Network(function, **parts).eval(), Example(args=inputs or (torch.randn(4, 5),), kwargs={})
    solver = Solver()
    inference = infer_axes(trace_network(net, example), StateAxes(net, solver), solver)
    root = math.sqrt
    found = find_counts(net, inference, example)
    assert math.sqrt is root
    return {node.name: formula for node, arguments in found.items() for formula in arguments.values()}


def test_a_number_of_a_shape_is_told_from_one_of_the_network() -> None:
    found = find(lambda s, x: s.o(s.a(x) * s.a(x).size(-1) ** -0.5 * 8**-0.5))
    assert list(found) == ["mul"]
    assert found["mul"].full == 8**-0.5
    assert [(type(term), term.size) for _, term in found["mul"].terms if isinstance(term, Atom)] == [(Atom, 8)]


def test_a_size_is_that_of_the_axis_at_hand_also_where_its_number_was_worked_out() -> None:
    """Half of a layer is no half of its kept units: the size of a half is that of its own axis."""
    found = find(lambda s, x: s.o((y := s.c(x).view(x.shape[0], 2, -1)).sum(1) / y.shape[-1]), c=nn.Linear(5, 16))
    ((_, term),) = found["div"].terms
    assert isinstance(term, Atom)
    assert term.size == 8


@pytest.mark.parametrize("batch", [1, 2, 4, 8])
def test_the_batch_may_be_of_any_size(batch: int) -> None:
    assert set(find(lambda s, x: s.o(s.a(x) / s.a(x).shape[-1]), torch.randn(batch, 5))) == {"div"}


def test_inputs_may_share_a_batch() -> None:
    found = find(lambda s, x, z: s.o((s.a(x) + s.b(z)) / s.a.bias.shape[0]), torch.randn(3, 5), torch.randn(3, 5))
    assert set(found) == {"div"}


def test_tables_that_only_one_trace_holds_do_not_matter() -> None:
    found = find(lambda s, x: s.o(s.a(x) / s.a(x).shape[-1] + torch.arange(s.a(x).shape[-1])))
    assert set(found) == {"div"}


def test_running_statistics_may_be_written() -> None:
    def function(s: Any, x: Tensor) -> Tensor:
        s.n.train()
        return s.o(s.n(s.a(x)) / s.a(x).shape[-1])

    assert set(find(function, n=nn.BatchNorm1d(8))) == {"div"}


def test_tied_layers_are_one() -> None:
    tied = nn.Linear(5, 8)
    found = find(lambda s, x: s.o((s.a(x) + s.b(x)) / s.a.weight.shape[0] * s.b.weight.numel()), a=tied, b=tied)
    assert set(found) == {"div", "mul"}
    twice = nn.Linear(5, 8)
    twice.weight = tied.weight
    found = find(lambda s, x: s.o((s.a(x) + s.b(x)) / s.a.weight.shape[0] * s.b.weight.numel()), a=tied, b=twice)
    assert set(found) == {"div", "mul"}


def test_nothing_is_known_of_a_network_that_cannot_shrink() -> None:
    assert find(lambda s, x: s.a(x) * 8**-0.5) == {}


@pytest.mark.parametrize(
    "function",
    [
        lambda s, x: s.o(s.a(x) / int(s.a(x).shape[-1])),
        lambda s, x: s.o(s.a(x).view(-1, 8) / s.a(x).shape[-1]),
        lambda s, x: s.o((s.a(x) if type(s.a(x).shape[-1]) is int else s.b(x)) / s.a(x).shape[-1]),
        lambda s, x: s.o((s.a(x) if type(s.a(x).shape[-1]) is int else s.a(x).relu()) / s.a(x).shape[-1]),
        lambda s, x: s.o((s.a(x).tanh() if type(s.a(x).shape[-1]) is int else s.a(x).relu()) / s.a(x).shape[-1]),
        lambda s, x: s.o((s.a(x) if type(s.a(x).shape[-1]) is int else None) / s.a(x).shape[-1]),
    ],
    ids=["a whole number", "a literal size", "another layer", "an operator more", "another operator", "an error"],
)
def test_what_is_not_sure_is_left(function: Callable[..., Any]) -> None:
    assert find(function) == {}


def test_the_order_of_reads_must_be_the_same_too() -> None:
    def function(s: Any, x: Tensor) -> Tensor:
        one, other = s.a(x), s.b(x)
        first, second = (one, other) if type(one.shape[-1]) is int else (other, one)
        return s.o((first - second) / one.shape[-1])

    assert find(function) == {}
