import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from tests.graph.rules.node import Node, randn
from tests.graph.terms import factorings
from tests.traps import Network
from widthwise.graph import Atom, Frozen, Product, Solver, StateAxes, Term, as_example, infer_axes, trace_network

aten = torch.ops.aten
SIZES = st.integers(2, 5)


@pytest.mark.parametrize(
    "target",
    [aten.view.default, aten.reshape.default, aten._unsafe_view.default, aten._reshape_copy.default,
     aten.view_copy.default],
)  # fmt: skip
@given(st.data(), st.sampled_from([8, 12, 24]))
def test_any_folding_of_any_folding_carries_its_units(target: Any, data: st.DataObject, size: int) -> None:
    before, after = data.draw(factorings(size)), data.draw(factorings(size))
    node = Node(target, randn(*before), list(after))
    assert math.prod(len(axis) for axis in [range(each) for each in after]) == size
    assert node.check() == "L"


@given(SIZES, SIZES, SIZES)
def test_merging_nests_and_splitting_halves(rows: int, units: int, image: int) -> None:
    node = Node(aten.view.default, randn(rows, units, image), [rows, units * image])
    assert node.outputs[0] == (node.inputs[0][0], Product(node.inputs[0][1:]))
    node = Node(aten.view.default, randn(rows, units * image), [rows, units, image])
    assert node.inputs[0][1] == Product(node.outputs[0][1:])
    assert len(node.atoms) == 3


@pytest.mark.parametrize("requested", [[3, -1], [-1, 8], [-1, 2, 4], [3, 2, -1]])
def test_every_size_is_written_out_also_where_the_code_left_it_open(requested: list[int]) -> None:
    node = Node(aten.view.default, randn(3, 8), requested)
    assert node.outcome.sizes["size"] == node.outcome.outputs[0]
    assert node.check() == "L"


def fold_with_the_batch(function: Callable[[Tensor], Tensor]) -> Term:
    """The axis of 8 hidden units that a function folds together with the batch, of which it returns (batch, 8)."""
    net = Network(lambda s, x: s.o(function(s.a(x))), a=nn.Linear(5, 8), o=nn.Linear(8, 3))
    solver = Solver()
    state = StateAxes(net, solver)
    infer_axes(trace_network(net, as_example((torch.randn(3, 5),)), training=False), state, solver)
    return solver.resolve(state.targets["a.bias"][0])


def test_units_may_be_folded_into_one_axis_of_dynamic_size() -> None:
    term = fold_with_the_batch(lambda y: y.view(-1).relu().view(-1, 8))
    assert isinstance(term, Atom)
    term = fold_with_the_batch(lambda y: (y[:, :, None] * y.sum()).reshape(y.shape[0] * 8, -1).view(-1, 8))
    assert isinstance(term, Atom)


@pytest.mark.parametrize(
    "function",
    [
        lambda y: (y[:, :, None, None] * y.t()).reshape(y.shape[0] * 8, 8 * y.shape[0]).sum(1).view(-1, 8),
        lambda y: (y[:, :, None] * y.sum(1)).reshape(y.shape[0] * 8, -1).sum(1).view(-1, 8),
    ],
    ids=["two with units", "one that the code left open"],
)
def test_units_folded_into_one_of_several_axes_of_dynamic_size_stay(function: Callable[[Tensor], Tensor]) -> None:
    """A size that is both dynamic and in part units is written as -1, and there can be but one of those."""
    term = fold_with_the_batch(function)
    assert isinstance(term, Frozen)
    assert term.reason.endswith(" folds units into several axes of dynamic size")


def test_a_folding_that_cuts_across_units_keeps_them() -> None:
    node = Node(aten.view.default, randn(4, 3), [3, 4])
    assert node.reason(0, 0) == "aten.view cuts across units"
    assert node.atoms == {}


def test_only_the_factors_that_are_cut_across_are_kept() -> None:
    node = Node(aten.view.default, randn(5, 4, 3, 2), [5, 3, 4, 2])
    assert node.outputs[0][0] == node.inputs[0][0]
    assert node.outputs[0][3] == node.inputs[0][3]
    assert isinstance(node.outputs[0][1], Frozen)
    assert node.check() == "L"


def test_a_view_as_another_dtype_has_no_rule() -> None:
    with pytest.raises(AssertionError, match=r"aten.view.dtype has no rule"):
        Node(aten.view.dtype, randn(3, 4), torch.int64)


def test_squeezed_axes_go_and_others_pass() -> None:
    node = Node(aten.squeeze.dims, randn(3, 1, 4, 1), [1, 3])
    assert node.outputs == [(node.inputs[0][0], node.inputs[0][2])]
    assert node.check() == "L"


@given(SIZES, SIZES, st.integers(-3, 2))
def test_a_new_axis_has_one_position(rows: int, units: int, dim: int) -> None:
    node = Node(aten.unsqueeze.default, randn(rows, units), dim)
    assert node.outputs[0][dim] == Frozen(1, "size 1")
    assert node.check() == "L"


@given(SIZES, SIZES, SIZES, st.permutations([0, 1, 2]), st.integers(-3, 2), st.integers(-3, 2))
def test_axes_change_places(one: int, two: int, three: int, order: list[int], dim: int, other: int) -> None:
    x = randn(one, two, three)
    node = Node(aten.permute.default, x, [axis - 3 if axis % 2 else axis for axis in order])
    assert node.outputs == [tuple(node.inputs[0][axis] for axis in order)]
    assert node.check() == "L"
    node = Node(aten.transpose.int, x, dim, other)
    assert node.outputs[0][dim] == node.inputs[0][other]
    assert node.check() == "L"


@pytest.mark.parametrize("target", [aten.t.default, aten.numpy_T.default])
def test_a_matrix_is_transposed(target: Any) -> None:
    node = Node(target, randn(3, 4))
    assert node.outputs == [node.inputs[0][::-1]]
    assert node.check() == "L"


def test_scalars_and_vectors_have_nothing_to_change() -> None:
    assert Node(aten.t.default, randn(3)).check() == "L"
    assert Node(aten.transpose.int, randn(), 0, -1).check() == "L"
    assert Node(aten.permute.default, randn(), []).check() == "L"


@given(SIZES, SIZES, SIZES)
def test_repeated_positions_are_all_alike_so_any_number_will_do(rows: int, units: int, copies: int) -> None:
    for shape, size in (
        ((rows, 1, units), [-1, copies, -1]),
        ((rows, 1, units), [rows, copies, units]),
        ((1, units), [copies, rows, units]),
        ((units,), [copies, units]),
    ):
        node = Node(aten.expand.default, randn(*shape), size)
        assert node.outputs[0][-1] == node.inputs[0][-1]
        assert all(isinstance(term, Atom) for term in node.outputs[0])
        assert node.check() == "L"


def test_an_expansion_to_what_is_there_passes() -> None:
    node = Node(aten.expand.default, randn(3, 4), [3, -1])
    assert node.outputs == [node.inputs[0]]


@given(SIZES, SIZES, st.integers(1, 3), st.integers(1, 3))
def test_copies_of_an_axis_stand_side_by_side(rows: int, units: int, down: int, across: int) -> None:
    node = Node(aten.repeat.default, randn(rows, units), [down, across])
    for term, made, times in zip(node.inputs[0], node.outputs[0], (down, across), strict=True):
        assert made == (Product((Frozen(times, "aten.repeat"), term)) if times > 1 else term)
    assert node.check() == "L"


@given(SIZES, SIZES, SIZES)
def test_copies_of_a_single_position_may_be_any_number(rows: int, units: int, copies: int) -> None:
    for shape, times in (((1, units), [rows, 1]), ((units,), [rows, 1]), ((rows, 1, units), [1, copies, 1])):
        node = Node(aten.repeat.default, randn(*shape), times)
        assert all(isinstance(term, Atom) for term in node.outputs[0])
        assert node.outputs[0][-1] == node.inputs[0][-1]
        assert node.check() == "L"


@given(SIZES, SIZES, st.integers(1, 3), st.integers(-2, 1))
def test_positions_repeated_in_place_are_an_inner_factor(rows: int, units: int, times: int, dim: int) -> None:
    """Queries that share one key: part 2 of the notes."""
    node = Node(aten.repeat_interleave.self_int, randn(rows, units), times, dim)
    term, made = node.inputs[0][dim], node.outputs[0][dim]
    assert made == (Product((term, Frozen(times, "aten.repeat_interleave"))) if times > 1 else term)
    assert node.outputs[0][1 - dim % 2] == node.inputs[0][1 - dim % 2]
    assert node.check() == "L"


@given(SIZES, SIZES)
def test_a_single_position_repeated_in_place_may_be_any_number(rows: int, copies: int) -> None:
    for more in ({}, {"output_size": copies}):
        node = Node(aten.repeat_interleave.self_int, randn(rows, 1), copies, 1, **more)
        assert isinstance(node.outputs[0][1], Atom)
        assert node.check() == "L"


def test_an_announced_size_follows() -> None:
    node = Node(aten.repeat_interleave.self_int, randn(3, 4), 2, 1, output_size=8)
    assert node.outcome.sizes == {"output_size": node.outputs[0][1]}
    assert node.check() == "L"


def test_repeating_all_positions_as_one_axis_keeps_everything() -> None:
    node = Node(aten.repeat_interleave.self_int, randn(3, 4), 2)
    assert node.atoms == {}
    assert node.reason(0, 1) == "aten.repeat_interleave repeats across axes, or a dynamic number of times"


def test_a_transposed_folding_of_a_residual_stream_is_folded_alike_for_both_summands() -> None:
    solver = Solver()
    one, other = solver.fresh(8), solver.fresh(8)
    solver.unify(one, other, "aten.add")
    outer, inner = solver.split(one, (2, 4), "aten.view")
    assert solver.resolve(other) == Product((outer, inner))
