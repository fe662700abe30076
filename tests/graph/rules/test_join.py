import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.graph.rules.node import Node, randn
from widthwise.graph import Frozen, Sum

aten = torch.ops.aten
SIZES = st.integers(2, 5)


@given(SIZES, st.lists(SIZES, min_size=1, max_size=3), st.booleans())
def test_concatenation_lays_segments_side_by_side(rows: int, units: list[int], counted_back: bool) -> None:
    node = Node(
        aten.cat.default, [randn(rows, each, seed=i) for i, each in enumerate(units)], -1 if counted_back else 1
    )
    joined = node.outputs[0][1]
    parts = joined.parts if isinstance(joined, Sum) else (joined,)
    assert list(parts) == [axes[1] for axes in node.inputs]
    assert {axes[0] for axes in node.inputs} == {node.outputs[0][0]}
    assert node.check() == "L"


def test_the_same_operand_twice_is_cut_alike() -> None:
    x = randn(3, 4)
    node = Node(aten.cat.default, [x, x], 0)
    assert node.check() == "L"


def test_empty_vectors_may_be_concatenated_with_anything() -> None:
    node = Node(aten.cat.default, [torch.zeros(0, dtype=torch.float64), randn(3, 4)], 1)
    assert node.outputs == [node.inputs[1]]
    empty = Node(aten.cat.default, [torch.zeros(0), torch.zeros(0)])
    assert empty.outputs == [(Frozen(0, "empty"),)]


@given(SIZES, SIZES, st.integers(1, 3), st.integers(-3, 2))
def test_stacking_ties_all_axes_and_keeps_the_number_of_operands(rows: int, units: int, number: int, dim: int) -> None:
    node = Node(aten.stack.default, [randn(rows, units, seed=i) for i in range(number)], dim)
    assert all(axes == node.inputs[0] for axes in node.inputs)
    assert isinstance(node.outputs[0][dim % 3], Frozen)
    assert node.check() == "L"


@given(SIZES, st.integers(4, 7), st.integers(0, 3), st.integers(1, 4), st.integers(-2, 1))
def test_a_written_slice_agrees_with_what_is_written(rows: int, size: int, start: int, length: int, dim: int) -> None:
    stop = min(start + length, size)
    shape = (rows, size) if dim % 2 else (size, rows)
    source = (rows, stop - start) if dim % 2 else (stop - start, rows)
    node = Node(aten.slice_scatter.default, randn(*shape), randn(*source, seed=1), dim, start, stop)
    assert node.outputs == [node.inputs[0]]
    assert node.inputs[1][1 - dim % 2] == node.inputs[0][1 - dim % 2]
    assert node.check() == "L"


def test_everything_may_be_written() -> None:
    node = Node(aten.slice_scatter.default, randn(3, 4), randn(3, 4, seed=1), 1)
    assert node.inputs[0] == node.inputs[1]
    assert node.check() == "L"


def test_a_strided_write_that_leaves_some_over_keeps_the_axis() -> None:
    node = Node(aten.slice_scatter.default, randn(3, 5), randn(3, 2), 1, 0, 4, 2)
    assert node.reason(0, 1).endswith(" takes a strided or dynamic part of this axis")
    assert isinstance(node.inputs[1][1], Frozen)
    assert node.check() == "L"


@pytest.mark.parametrize("dim", [0, 1, -1])
def test_a_written_position_keeps_its_axis(dim: int) -> None:
    node = Node(aten.select_scatter.default, randn(3, 4), randn(3 if dim % 2 else 4), dim, 1)
    assert node.reason(0, dim).endswith(" writes to one position of this axis")
    assert node.inputs[1][0] == node.inputs[0][1 - dim % 2]
    assert node.check() == "L"


@given(SIZES, SIZES, st.integers(0, 1))
def test_a_strided_write_ties_what_is_written_to_the_blocks(rows: int, blocks: int, start: int) -> None:
    x, source = randn(rows, 2 * blocks), randn(rows, blocks, seed=1)
    node = Node(aten.slice_scatter.default, x, source, 1, start, 2 * blocks, 2)
    assert node.inputs[0][1].factors[0] == node.inputs[1][1]
    assert node.outputs == [node.inputs[0]]
    assert node.check() == "L"
