from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.graph.rules.node import Node, randn
from widthwise.graph import Atom, Frozen, Product, Sum, join_segments

aten = torch.ops.aten
SIZES = st.integers(2, 5)
LEFT, RIGHT = Atom(101, 4), Atom(102, 3)


@given(SIZES, st.lists(SIZES, min_size=2, max_size=4), st.integers(-2, 1))
def test_splitting_gives_segments_whose_sizes_may_differ(rows: int, sizes: list[int], dim: int) -> None:
    shape = (rows, sum(sizes)) if dim % 2 else (sum(sizes), rows)
    node = Node(aten.split_with_sizes.default, randn(*shape), sizes, dim)
    segments = [axes[dim] for axes in node.outputs]
    assert node.inputs[0][dim] == join_segments(tuple(segments))
    assert len(set(segments)) == len(sizes)
    assert node.check() == "L"


@given(SIZES, st.integers(2, 8), st.integers(1, 4))
def test_equal_parts_become_parts_of_written_sizes(rows: int, units: int, number: int) -> None:
    """Three chunks of 8 are 3, 3 and 2; at another width they must be what is left of those."""
    for node in (
        Node(aten.chunk.default, randn(rows, units), number, 1),
        Node(aten.split.Tensor, randn(rows, units), number, 1),
        Node(aten.split.Tensor, randn(units, rows), number),
        Node(aten.tensor_split.sections, randn(rows, units), number, 1),
        Node(aten.tensor_split.indices, randn(rows, units), [number], 1),
    ):
        assert node.check() == "L"
        if node.outcome.target is not None:
            assert node.outcome.target is aten.split_with_sizes.default


def test_parts_that_overlap_keep_the_axis() -> None:
    node = Node(aten.tensor_split.indices, randn(3, 8), [5, 2], 1)
    assert [piece.size for _, piece in node.outputs] == [5, 0, 6]
    assert isinstance(node.inputs[0][1], Frozen)
    assert node.check() == "L"


def test_a_frozen_axis_is_split_as_it_was() -> None:
    node = Node(aten.split.Tensor, randn(3, 4), 2, 1, ties={(0, 1): Frozen(4, "output of the model")})
    assert node.outcome.sizes == {}
    assert node.outcome.target is None


def test_a_split_between_blocks_of_a_folded_axis_ties_them() -> None:
    node = Node(aten.split.Tensor, randn(3, 8), 4, 1, ties={(0, 1): Product((Atom(101, 2), Atom(102, 4)))})
    assert node.outputs[0][1] == node.outputs[1][1] == Atom(102, 4)
    assert node.check() == "L"


@given(SIZES, SIZES, st.integers(-2, 1))
def test_the_halves_of_a_gated_unit_agree(rows: int, units: int, dim: int) -> None:
    shape = (rows, 2 * units) if dim % 2 else (2 * units, rows)
    node = Node(aten.glu.default, randn(*shape), dim)
    assert node.inputs[0][dim] == Sum((node.outputs[0][dim],) * 2)
    assert node.check() == "L"


@given(SIZES, SIZES, st.integers(-2, 1))
def test_unbinding_and_selecting_keep_the_axis(rows: int, units: int, dim: int) -> None:
    node = Node(aten.unbind.int, randn(rows, units), dim)
    assert node.reason(0, dim).endswith(" takes this axis apart")
    assert node.outputs == [(node.inputs[0][1 - dim % 2],)] * len(node.values)
    assert node.check() == "L"
    for target in (aten.select.int, aten.select_copy.int):
        node = Node(target, randn(rows, units), dim, 1)
        assert node.reason(0, dim).endswith(" picks one position of this axis")
        assert node.outputs == [(node.inputs[0][1 - dim % 2],)]
        assert node.check() == "L"


@pytest.mark.parametrize(("position", "frozen"), [(0, 0), (3, 0), (4, 1), (6, 1), (7, 2), (8, 2)])
def test_selecting_from_a_concatenation_keeps_one_segment(position: int, frozen: int) -> None:
    parts = (LEFT, RIGHT, Atom(103, 2))
    node = Node(aten.select.int, randn(3, 9), 1, position, ties={(0, 1): Sum(parts)})
    assert [isinstance(node.solver.resolve(part), Frozen) for part in parts] == [i == frozen for i in range(3)]
    assert node.check() == "L"


@given(SIZES, st.integers(3, 6), st.integers(-8, 8), st.integers(-8, 8), st.integers(-2, 1))
def test_a_slice_keeps_a_stretch_of_an_axis(rows: int, units: int, start: int, stop: int, dim: int) -> None:
    first, last, _ = slice(start, stop).indices(units)
    shape = (rows, units) if dim % 2 else (units, rows)
    for target in (aten.slice.Tensor, aten.slice_copy.Tensor):
        node = Node(target, randn(*shape), dim, first, max(first, last))
        assert node.outputs[0][1 - dim % 2] == node.inputs[0][1 - dim % 2]
        assert node.check() == "L"


@given(SIZES, st.integers(3, 6), st.integers(-9, -1), st.integers(-9, -1))
def test_bounds_may_be_counted_from_the_end(rows: int, units: int, start: int, stop: int) -> None:
    node = Node(aten.slice.Tensor, randn(rows, units), 1, start, stop)
    assert node.outputs[0][0] == node.inputs[0][0]
    assert node.check() == "L"


@pytest.mark.parametrize("bounds", [(None, None), (0, 2**63 - 1), (-9, None)])
def test_a_slice_of_everything_is_the_axis(bounds: tuple[Any, Any]) -> None:
    node = Node(aten.slice.Tensor, randn(3, 4), 1, *bounds)
    assert node.outputs == [node.inputs[0]]
    assert node.check() == "L"


@given(st.integers(0, 7), st.integers(0, 7))
def test_a_slice_of_a_concatenation_keeps_parts_of_its_segments(start: int, stop: int) -> None:
    node = Node(
        aten.slice.Tensor, randn(3, 7), 1, min(start, stop), max(start, stop), ties={(0, 1): Sum((LEFT, RIGHT))}
    )
    assert node.check() == "L"


def test_a_slice_without_a_start_begins_in_front() -> None:
    node = Node(aten.slice.Tensor, randn(3, 6), 1, None, 4)
    assert node.inputs[0][1] == Sum((node.outputs[0][1], Atom(node.inputs[0][1].parts[1].key, 2)))
    assert node.check() == "L"


@given(SIZES, st.integers(2, 4), st.integers(2, 3), st.integers(-2, 1), st.data())
def test_a_stride_takes_one_position_of_each_block(
    rows: int, blocks: int, step: int, dim: int, data: st.DataObject
) -> None:
    start = data.draw(st.integers(0, step - 1))
    shape = (rows, blocks * step) if dim % 2 else (blocks * step, rows)
    for target in (aten.slice.Tensor, aten.slice_copy.Tensor):
        node = Node(target, randn(*shape), dim, start, blocks * step, step)
        axis = node.inputs[0][dim]
        assert isinstance(axis, Product)
        assert axis.factors[0] == node.outputs[0][dim]
        assert isinstance(axis.factors[0], Atom)
        assert axis.factors[1].reason.endswith(" takes one position of each block of this size")
        assert node.check() == "L"


def test_a_stride_without_an_end_takes_from_every_block_that_is_left() -> None:
    node = Node(aten.slice.Tensor, randn(3, 6), 1, 1, 2**63 - 1, 2)
    assert isinstance(node.outputs[0][1], Atom)
    assert node.check() == "L"


@pytest.mark.parametrize("bounds", [(0, 7, 2), (0, 6, 2), (2, 7, 2), (1, 7, 3)])
def test_strides_that_do_not_divide_an_axis_keep_it(bounds: tuple[int, int, int]) -> None:
    node = Node(aten.slice.Tensor, randn(3, 7), 1, *bounds)
    assert node.reason(0, 1).endswith(" takes a strided or dynamic part of this axis")
    assert node.check() == "L"


@pytest.mark.parametrize("bounds", [(2, 6, 2), (0, 5, 4), (-5, 6, 2)])
def test_strides_that_miss_a_block_or_start_from_the_end_keep_the_axis(bounds: tuple[int, int, int]) -> None:
    node = Node(aten.slice.Tensor, randn(3, 6), 1, *bounds)
    assert node.reason(0, 1).endswith(" takes a strided or dynamic part of this axis")
    assert node.check() == "L"


def test_a_stride_across_segments_keeps_them() -> None:
    node = Node(aten.slice.Tensor, randn(3, 6), 1, 0, 6, 2, ties={(0, 1): Sum((Atom(101, 3), RIGHT))})
    assert node.atoms.keys() == {atom.key for atom in node.inputs[0][:1]}
    assert node.check() == "L"
