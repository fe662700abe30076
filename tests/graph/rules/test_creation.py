from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.graph.rules.node import Node, randn
from widthwise.graph import Atom, Frozen

aten = torch.ops.aten
SIZES = st.integers(2, 5)


@pytest.mark.parametrize(
    ("target", "more"),
    [(aten.zeros.default, ()), (aten.ones.default, ()), (aten.full.default, (2.0,)), (aten.empty.memory_format, ()),
     (aten.rand.default, ()), (aten.randn.default, ()), (aten.new_zeros.default, ()), (aten.new_ones.default, ()),
     (aten.new_full.default, (2.0,)), (aten.new_empty.default, ())],
)  # fmt: skip
@given(SIZES, SIZES)
def test_what_is_made_of_a_shape_may_have_any_number_of_positions(
    target: Any, more: tuple[Any, ...], one: int, two: int
) -> None:
    lender = [randn(2)] if "new_" in str(target) else []
    node = Node(target, *lender, [one, two], *more)
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
