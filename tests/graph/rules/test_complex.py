from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.graph.rules.node import Node, randn
from widthwise.graph import Frozen

aten = torch.ops.aten
SIZES = st.integers(2, 5)


@pytest.mark.parametrize("target", [aten.view_as_complex.default, aten.view_as_complex_copy.default])
@given(SIZES, SIZES)
def test_a_pair_of_real_numbers_becomes_one(target: Any, rows: int, units: int) -> None:
    node = Node(target, randn(rows, units, 2))
    assert node.outputs == [node.inputs[0][:2]]
    assert node.reason(0, 2).endswith(" takes this axis for real and imaginary parts")
    assert node.check() == "L"


@pytest.mark.parametrize("target", [aten.view_as_real.default, aten.view_as_real_copy.default])
@given(SIZES, SIZES)
def test_and_comes_back(target: Any, rows: int, units: int) -> None:
    node = Node(target, torch.complex(randn(rows, units), randn(rows, units, seed=1)))
    assert node.outputs[0][:2] == node.inputs[0]
    assert isinstance(node.outputs[0][2], Frozen)
    assert node.check() == "L"


@pytest.mark.parametrize("target", [aten.complex.default, aten.polar.default])
@given(SIZES, SIZES)
def test_both_parts_broadcast(target: Any, rows: int, units: int) -> None:
    node = Node(target, randn(rows, units), randn(1, units, seed=1))
    assert node.inputs[1][1] == node.inputs[0][1]
    assert node.outputs == [node.inputs[0]]
    assert node.check() == "L"


@pytest.mark.parametrize(
    "target",
    [aten.real.default, aten.imag.default, aten._conj.default, aten._conj_physical.default, aten.conj.default,
     aten.resolve_conj.default, aten._neg_view.default, aten.resolve_neg.default],
)  # fmt: skip
def test_entries_are_treated_alike(target: Any) -> None:
    node = Node(target, torch.complex(randn(3, 4), randn(3, 4, seed=1)))
    assert node.outputs == [node.inputs[0]]
    assert len(node.atoms) == 2
    assert node.check() == "L"


def test_a_negated_view_of_real_numbers_passes() -> None:
    """What the imaginary part of a conjugate is made of."""
    node = Node(aten._neg_view.default, randn(3, 4))
    assert node.outputs == [node.inputs[0]]
    assert node.check() == "L"
