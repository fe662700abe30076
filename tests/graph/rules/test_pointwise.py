from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.graph.rules.node import Node, randn
from widthwise.graph import Frozen

aten = torch.ops.aten
SIZES = st.integers(2, 5)
X = randn(3, 4)


@pytest.mark.parametrize(
    ("target", "arguments"),
    [
        (aten.relu.default, (X,)), (aten.gelu.default, (X,)), (aten.elu.default, (X,)), (aten.celu.default, (X,)),
        (aten.hardswish.default, (X,)), (aten.hardsigmoid.default, (X,)), (aten.log_sigmoid.default, (X,)),
        (aten.softplus.default, (X,)), (aten.mish.default, (X,)), (aten.hardtanh.default, (X,)),
        (aten.clamp.default, (X, -1.0, 1.0)), (aten.threshold.default, (X, 0.1, 2.0)), (aten.neg.default, (X,)),
        (aten.pow.Tensor_Scalar, (X, 2)), (aten.pow.Scalar, (2, X)), (aten.rsub.Scalar, (X, 1)),
        (aten.add.Scalar, (X, 1)), (aten.detach.default, (X,)), (aten.clone.default, (X,)), (aten.alias.default, (X,)),
        (aten._to_copy.default, (X,)), (aten.lift_fresh_copy.default, (X,)), (aten.fill.Scalar, (X, 2.0)),
        (aten.dropout.default, (X, 0.5, False)), (aten.ones_like.default, (X,)), (aten.zeros_like.default, (X,)),
        (aten.full_like.default, (X, 2.0)), (aten.where.ScalarOther, (X > 0, X, 0.0)),
        (aten.where.ScalarSelf, (X > 0, 0.0, X)), (aten.where.Scalar, (X > 0, 0.0, 1.0)),
        (aten.masked_fill.Scalar, (X, X > 0, 2.0)), (aten.contiguous.default, (X,)),
        (aten.to.dtype, (X, torch.float32)), (aten.type_as.default, (X, X.float())),
        (aten.alpha_dropout.default, (X, 0.5, False)), (aten.feature_dropout.default, (X, 0.5, False)),
        (aten.feature_alpha_dropout.default, (X, 0.5, False)),
    ],
)  # fmt: skip
def test_every_axis_passes(target: Any, arguments: tuple[Any, ...]) -> None:
    node = Node(target, *arguments)
    assert node.outputs == [node.inputs[0]]
    assert len(node.atoms) == 2
    assert node.check() == "L"


@pytest.mark.parametrize(
    "target",
    [aten.add.Tensor, aten.mul.Tensor, aten.sub.Tensor, aten.div.Tensor, aten.maximum.default, aten.copy.default],
)
@given(SIZES, SIZES)
def test_operands_agree_and_axes_of_size_one_follow(target: Any, rows: int, units: int) -> None:
    for shape in ((rows, units), (units,), (1, units), (rows, 1), (1, 1), ()):
        node = Node(target, randn(rows, units), randn(*shape, seed=1).abs() + 1)
        assert node.outputs == [node.inputs[0]]
        for axis, term in enumerate(reversed(node.inputs[1]), 1):
            assert term == node.inputs[0][-axis] or term == Frozen(1, "size 1, which leaves no choice")
        assert node.check() == "L"


@given(SIZES, SIZES)
def test_two_axes_of_size_one_make_an_outer_product(rows: int, units: int) -> None:
    node = Node(aten.mul.Tensor, randn(rows, 1), randn(1, units))
    assert node.outputs == [(node.inputs[0][0], node.inputs[1][1])]
    assert node.check() == "L"


@given(SIZES, SIZES)
def test_three_operands_agree(rows: int, units: int) -> None:
    x = randn(rows, units)
    for node in (
        Node(aten.addcmul.default, x, randn(units), randn(rows, 1)),
        Node(aten.where.self, x > 0, randn(units), randn(rows, 1)),
        Node(aten.lerp.Tensor, x, randn(rows, units, seed=1), randn(units)),
    ):
        assert node.outputs == [node.inputs[0]]
        assert len(node.atoms) == 2
        assert node.check() == "L"


@pytest.mark.parametrize(
    ("target", "arguments"),
    [
        (aten.native_dropout.default, (0.5, True)), (aten.dropout.default, (0.5, True)), (aten.bernoulli.p, (0.5,)),
        (aten.bernoulli.default, ()), (aten.alpha_dropout.default, (0.5, True)),
        (aten.feature_dropout.default, (0.5, True)), (aten.feature_alpha_dropout.default, (0.5, True)),
        (aten.rand_like.default, ()), (aten.randn_like.default, ()), (aten.empty_like.default, ()),
        (aten.rrelu.default, (0.1, 0.3, True)),
    ],
)  # fmt: skip
def test_what_is_drawn_has_the_axes_of_the_input(target: Any, arguments: tuple[Any, ...]) -> None:
    node = Node(target, X.sigmoid(), *arguments)
    assert node.outputs == [node.inputs[0]] * len(node.values)
    assert node.check(is_random=True) == "L"


@given(SIZES, SIZES)
def test_prelu_has_one_slope_or_one_per_channel(rows: int, channels: int) -> None:
    for x in (randn(rows, channels, 3), randn(rows, channels)):
        node = Node(aten.prelu.default, x, randn(channels))
        assert node.inputs[1] == (node.inputs[0][1],)
        assert node.check() == "L"
        free = Node(aten.prelu.default, x, randn(1))
        assert len(free.atoms) == x.dim()
        assert free.check() == "L"
