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
def test_a_mask_keeps_everything(dtype: torch.dtype) -> None:
    node = Node(aten.index.Tensor, randn(3, 4), [torch.tensor([1, 0, 1], dtype=dtype)])
    assert node.atoms == {}
    assert node.reason(0, 1).endswith(" selects by a mask, or not at all")
    assert all(isinstance(term, Frozen) for term in node.outputs[0])


@given(SIZES, SIZES, SIZES, st.integers(-2, 1))
def test_a_selected_axis_keeps_its_size_and_gives_way(one: int, two: int, rows: int, dim: int) -> None:
    node = Node(aten.index_select.default, randn(one, two), dim, torch.randint(0, 2, (rows,)))
    assert node.reason(0, dim).endswith(" addresses this axis by number")
    assert node.outputs[0][dim] == node.inputs[1][0]
    assert node.check() == "L"
