from typing import Any

import pytest
import torch

from tests.graph.rules.node import Node, randn
from widthwise.graph import Atom, Frozen

aten = torch.ops.aten


@pytest.mark.parametrize(
    ("target", "arguments"),
    [(aten.zeros.default, ([3, 4],)), (aten.ones.default, ([3, 4],)), (aten.full.default, ([3, 4], 2.0)),
     (aten.empty.memory_format, ([3, 4],)), (aten.rand.default, ([3, 4],)), (aten.randn.default, ([3, 4],)),
     (aten.new_zeros.default, (randn(2), [3, 4])), (aten.new_ones.default, (randn(2), [3, 4])),
     (aten.new_full.default, (randn(2), [3, 4], 2.0)), (aten.new_empty.default, (randn(2), [3, 4]))],
)  # fmt: skip
def test_what_is_made_of_a_shape_may_have_any_number_of_positions(target: Any, arguments: tuple[Any, ...]) -> None:
    node = Node(target, *arguments)
    rows, columns = node.outputs[0]
    assert isinstance(rows, Atom)
    assert isinstance(columns, Atom)
    assert node.outcome.sizes == {"size": (rows, columns)}
    is_random = "rand" in str(target) or "empty" in str(target)
    assert node.check(is_random=is_random) == "L"


def test_a_tensor_that_lends_only_its_dtype_is_left_alone() -> None:
    node = Node(aten.new_zeros.default, randn(3), [3])
    assert node.inputs[0] != node.outputs[0]
    assert len(node.atoms) == 2


def test_single_positions_leave_no_choice() -> None:
    assert Node(aten.zeros.default, [1]).outputs == [(Frozen(1, "size 1, which leaves no choice"),)]
