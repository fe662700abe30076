from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.graph.rules.node import Node, randn
from widthwise.graph import Frozen

aten = torch.ops.aten
SIZES = st.integers(2, 5)


@given(SIZES, SIZES, SIZES, SIZES)
def test_an_embedding_keeps_its_vocabulary_and_carries_its_units(words: int, units: int, rows: int, time: int) -> None:
    node = Node(aten.embedding.default, randn(words, units), torch.randint(0, words, (rows, time)))
    assert node.reason(0, 0).endswith(" addresses its vocabulary by number")
    assert node.outputs == [(*node.inputs[1], node.inputs[0][1])]
    assert node.check() == "L"


@given(SIZES, SIZES, SIZES, SIZES)
def test_an_indexed_axis_keeps_its_size_and_gives_way(one: int, two: int, three: int, rows: int) -> None:
    x, table = randn(one, two, three), torch.randint(0, 2, (rows,))
    for place in range(3):
        node = Node(aten.index.Tensor, x, [*[None] * place, table])
        assert node.reason(0, place).endswith(" addresses this axis by number")
        rest = [term for axis, term in enumerate(node.inputs[0]) if axis != place]
        assert node.outputs == [(*rest[:place], node.inputs[1][0], *rest[place:])]
        assert node.check() == "L"


def test_indices_broadcast_and_those_that_stand_apart_come_first() -> None:
    x, table = randn(3, 4, 5), torch.tensor([[0], [1]])
    beside = Node(aten.index.Tensor, x, [None, table, torch.tensor([0, 1, 2])])
    assert beside.outputs[0][0] == beside.inputs[0][0]
    assert beside.check() == "L"
    apart = Node(aten.index.Tensor, x, [table, None, torch.tensor([0, 1, 2])])
    assert apart.outputs[0][2] == apart.inputs[0][1]
    assert apart.check() == "L"
    later = Node(aten.index.Tensor, randn(2, 3, 4, 5), [None, table, None, torch.tensor([0, 1, 2])])
    assert later.outputs[0][2:] == (later.inputs[0][0], later.inputs[0][2])
    assert later.check() == "L"


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8])
@pytest.mark.parametrize("place", [0, 1])
def test_a_mask_keeps_the_axes_that_it_covers(dtype: torch.dtype, place: int) -> None:
    mask = torch.tensor([1, 0, 1], dtype=dtype)
    node = Node(aten.index.Tensor, randn(*[4] * place, 3, 5), [*[None] * place, mask])
    assert node.reason(0, place) == node.reason(1, 0) == "aten.index selects along this axis by a mask"
    assert node.outputs[0][place + 1] == node.inputs[0][place + 1]
    assert isinstance(node.outputs[0][place], Frozen)
    assert node.check() == "L"


def test_a_mask_of_several_axes_makes_them_one() -> None:
    node = Node(aten.index.Tensor, randn(2, 3, 4), [torch.tensor([[True, False, True], [False, False, True]])])
    assert node.outputs[0][1:] == node.inputs[0][2:]
    assert len(node.atoms) == 1
    assert node.check() == "L"


def test_a_mask_beside_numbers_keeps_everything() -> None:
    node = Node(aten.index.Tensor, randn(3, 4), [torch.tensor([True, False, True]), torch.tensor([0, 1])])
    assert node.atoms == {}
    assert node.reason(0, 1) == "aten.index selects nothing"


@given(SIZES, SIZES, SIZES, st.integers(-2, 1))
def test_a_selected_axis_keeps_its_size_and_gives_way(one: int, two: int, rows: int, dim: int) -> None:
    node = Node(aten.index_select.default, randn(one, two), dim, torch.randint(0, 2, (rows,)))
    assert node.reason(0, dim).endswith(" addresses this axis by number")
    assert node.outputs[0][dim] == node.inputs[1][0]
    assert node.check() == "L"


@pytest.mark.parametrize("mode", [0, 1, 2])
@given(SIZES, st.integers(2, 4))
def test_bags_keep_their_number_and_carry_units(mode: int, words: int, units: int) -> None:
    indices, offsets = torch.tensor([0, 1, 1, 0]), torch.tensor([0, 1, 2])
    for target, more in ((aten.embedding_bag.default, ()), (aten._embedding_bag.default, ())):
        node = Node(target, randn(words, units), indices, offsets, False, mode, *more)
        assert node.reason(0, 0).endswith(" addresses its vocabulary by number")
        assert node.reason(1, 0).endswith(" gathers this axis in bags")
        assert node.reason(2, 0).endswith(" gathers this axis in bags")
        assert node.outputs[0][1] == node.inputs[0][1]
        assert set(node.atoms.values()) == {node.inputs[0][1]}
        assert node.check() == "L"


def test_weights_of_samples_keep_their_number() -> None:
    arguments = (randn(4, 3), torch.tensor([0, 1, 1]), torch.tensor([0, 1]), False, 0, False, randn(3))
    node = Node(aten.embedding_bag.default, *arguments)
    assert node.reason(3, 0).endswith(" gathers this axis in bags")
    assert node.check() == "L"


@given(SIZES, SIZES, SIZES, st.booleans())
def test_what_is_written_agrees_beside_the_indexed_axis(one: int, two: int, three: int, accumulate: bool) -> None:
    x, table = randn(one, two, three), torch.tensor([1, 0])
    for target in (aten.index_put.default, aten._unsafe_index_put.default):
        node = Node(target, x, [None, table], randn(one, 2, three, seed=1), accumulate)
        assert node.reason(0, 1).endswith(" addresses this axis by number")
        assert node.outputs == [node.inputs[0]]
        assert node.inputs[2][::2] == node.inputs[0][::2]
        assert node.reason(1, 0).endswith(" writes where this axis says")
        assert node.reason(2, 1).endswith(" writes where this axis says")
        assert node.check() == "L"
    assert Node(aten._unsafe_index.Tensor, x, [None, table]).check() == "L"


def test_what_a_mask_writes_to_keeps_its_size() -> None:
    node = Node(aten.index_put.default, randn(3, 4), [torch.tensor([True, False, True])], randn(seed=1))
    assert node.reason(0, 0) == "aten.index_put selects along this axis by a mask"
    assert node.outputs == [node.inputs[0]]
    assert node.check() == "L"


def test_a_write_without_an_index_keeps_everything() -> None:
    table = torch.tensor([[True, False], [True, True]])
    node = Node(aten.index_put.default, randn(2, 2, 3), [table, torch.tensor([0, 1, 2])], randn(3, seed=1))
    assert node.atoms == {}
    assert node.reason(0, 2) == "aten.index_put writes to nothing"


@pytest.mark.parametrize("dim", [0, 1, -1])
@given(SIZES, SIZES)
def test_positions_are_gathered_along_one_axis(dim: int, rows: int, units: int) -> None:
    x = randn(rows, units)
    index = torch.zeros(x.shape, dtype=torch.int64)
    for node in (
        Node(aten.gather.default, x, dim, index), Node(aten.take_along_dim.default, x, index, dim),
    ):  # fmt: skip
        assert node.reason(0, dim).endswith(" addresses this axis by number")
        assert node.inputs[0][1 - dim % 2] == node.inputs[1][1 - dim % 2] == node.outputs[0][1 - dim % 2]
        assert node.check() == "L"


def test_gathering_from_a_part_keeps_the_axis() -> None:
    node = Node(aten.gather.default, randn(3, 4), 1, torch.zeros(2, 4, dtype=torch.int64))
    assert node.reason(0, 0).endswith(" takes a part of this axis")
    assert node.atoms == {}


def test_taking_without_an_axis_keeps_everything() -> None:
    node = Node(aten.take_along_dim.default, randn(3, 4), torch.tensor([0, 2, 1]))
    assert node.atoms == {}
    assert node.reason(0, 1) == "aten.take_along_dim takes from all axes as one"


SOURCES: list[tuple[Any, dict[str, Any]]] = [
    (aten.scatter.src, {}), (aten.scatter.reduce, {"reduce": "add"}), (aten.scatter_add.default, {}),
    (aten.scatter_reduce.two, {"reduce": "sum"}),
]  # fmt: skip


@pytest.mark.parametrize(("target", "more"), SOURCES)
@pytest.mark.parametrize("dim", [0, 1, -1])
@given(SIZES, SIZES)
def test_what_is_scattered_goes_with_its_index(
    target: Any, more: dict[str, Any], dim: int, rows: int, units: int
) -> None:
    x = randn(rows, units)
    index = torch.arange(x.shape[dim]).flip(0)
    index = (index[:, None] if dim == 0 else index).expand(x.shape).contiguous()
    node = Node(target, x, dim, index, randn(rows, units, seed=1), **more)
    assert node.reason(0, dim).endswith(" addresses this axis by number")
    other = node.inputs[0][1 - dim % 2]
    assert all(axes[1 - dim % 2] == other for axes in node.inputs)
    assert set(node.atoms.values()) == {other}
    assert node.outputs == [node.inputs[0]]
    assert node.check() == "L"


@pytest.mark.parametrize("more", [{}, {"reduce": "add"}])
def test_a_number_may_be_scattered(more: dict[str, str]) -> None:
    target = aten.scatter.value_reduce if more else aten.scatter.value
    node = Node(target, randn(3, 4), 1, torch.tensor([[0], [2], [1]]), 2.0, **more)
    assert set(node.atoms.values()) == {node.inputs[0][0]}
    assert node.check() == "L"


def test_scattering_a_part_keeps_its_axes() -> None:
    index = torch.zeros(2, 3, dtype=torch.int64)
    node = Node(aten.scatter_add.default, randn(3, 4), 1, index, randn(3, 3, seed=1))
    assert node.reason(0, 0).endswith(" takes a part of this axis")
    assert node.reason(2, 0).endswith(" takes a part of this axis")
    assert node.atoms == {}


@pytest.mark.parametrize(
    ("target", "more"),
    [(aten.index_add.default, ()), (aten.index_copy.default, ()), (aten.index_reduce.default, ("amax",))],
)
@given(SIZES, SIZES, st.integers(-2, 1))
def test_what_is_added_by_number_agrees_along_the_other_axes(
    target: Any, more: tuple[str, ...], rows: int, units: int, dim: int
) -> None:
    source = randn(rows, 2, seed=1) if dim % 2 else randn(2, units, seed=1)
    node = Node(target, randn(rows, units), dim, torch.tensor([1, 0]), source, *more)
    assert node.reason(0, dim).endswith(" addresses this axis by number")
    assert node.reason(1, 0).endswith(" addresses this axis by number")
    assert node.reason(2, dim).endswith(" addresses this axis by number")
    assert set(node.atoms.values()) == {node.inputs[0][1 - dim % 2]}
    assert node.inputs[2][1 - dim % 2] == node.inputs[0][1 - dim % 2]
    assert node.outputs == [node.inputs[0]]
    assert node.check() == "L"
