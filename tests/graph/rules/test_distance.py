from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.graph.rules.node import Node, randn

aten = torch.ops.aten
SIZES = st.integers(2, 4)


@pytest.mark.parametrize("target", [aten._weight_norm.default, aten._weight_norm_interface.default])
@pytest.mark.parametrize("dim", [0, 2])
@given(SIZES, SIZES, SIZES)
def test_a_length_goes_with_its_direction_which_is_measured_over_the_rest(
    target: Any, dim: int, one: int, two: int, three: int
) -> None:
    lengths = [1, 1, 1]
    lengths[dim] = (one, two, three)[dim]
    node = Node(target, randn(one, two, three), randn(*lengths, seed=1), dim)
    direction, length = node.inputs
    assert direction[dim] == length[dim]
    assert node.solver.read_atoms == {direction[axis] for axis in range(3) if axis != dim}
    assert node.outputs == [direction, length][: len(node.outputs)]
    assert node.check() == "Z"


def test_one_length_for_a_whole_weight_is_measured_over_all_of_it() -> None:
    """What `weight_norm(dim=None)` calls axis -1 is not the last one."""
    node = Node(aten._weight_norm.default, randn(3, 4), randn(seed=1), -1)
    assert node.solver.read_atoms == set(node.inputs[0])
    assert node.outputs == [node.inputs[0]]
    assert node.check() == "Z"


@given(SIZES, SIZES, SIZES, st.integers(-3, 2))
def test_vectors_are_compared_over_one_axis(one: int, two: int, three: int, dim: int) -> None:
    node = Node(aten.cosine_similarity.default, randn(one, two, three), randn(one, two, three, seed=1), dim)
    assert node.inputs[0] == node.inputs[1]
    assert node.solver.read_atoms == {node.inputs[0][dim]}
    assert node.outputs == [tuple(term for axis, term in enumerate(node.inputs[0]) if axis != dim % 3)]
    assert node.check() == "Z"


def test_many_vectors_may_be_compared_with_one() -> None:
    node = Node(aten.cosine_similarity.default, randn(3, 4), randn(1, 4, seed=1), 1)
    assert node.outputs == [node.inputs[0][:1]]
    assert node.check() == "Z"


@pytest.mark.parametrize("order", [1.0, 2.0, 0.5, float("inf")])
@given(SIZES, SIZES, SIZES)
def test_distances_are_those_of_all_pairs_of_rows(order: float, rows: int, columns: int, units: int) -> None:
    for target in (aten.cdist.default, aten._cdist_forward.default):
        more = (None,) if target is aten._cdist_forward.default else ()
        node = Node(target, randn(2, rows, units), randn(2, columns, units, seed=1), order, *more)
        one, other = node.inputs
        assert one[2] == other[2]
        assert node.solver.read_atoms == {one[2]}
        assert node.outputs == [(one[0], one[1], other[1])]
        assert node.check() == "Z"
