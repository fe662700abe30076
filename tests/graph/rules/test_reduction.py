from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.graph.rules.node import Node, randn
from widthwise.graph import Atom, Frozen, Product

aten = torch.ops.aten
SIZES = st.integers(2, 5)
DIMS = st.sampled_from([[0], [1], [2], [-1], [0, 2], [1, -1], [0, 1, 2]])
Z = "LZ"
C = "LZC"
BY_DIM = [
    (aten.sum.dim_IntList, {}, Z), (aten.mean.dim, {}, C), (aten.amax.default, {}, C), (aten.amin.default, {}, C),
    (aten.logsumexp.default, {}, C), (aten.linalg_vector_norm.default, {}, Z),
    (aten.linalg_vector_norm.default, {"ord": 1}, Z), (aten.linalg_vector_norm.default, {"ord": float("inf")}, Z),
    (aten.linalg_vector_norm.default, {"ord": 0}, Z), (aten.norm.ScalarOpt_dim, {"p": 2}, Z),
    (aten.var.correction, {"correction": 0}, C), (aten.std.correction, {"correction": 0}, C),
    (aten.var.dim, {"unbiased": False}, C), (aten.std.dim, {"unbiased": False}, C),
    (aten.var_mean.correction, {"correction": 0}, C), (aten.std_mean.correction, {"correction": 0}, C),
]  # fmt: skip


@pytest.mark.parametrize(("target", "extra", "classes"), BY_DIM)
@settings(max_examples=25)
@given(SIZES, SIZES, SIZES, DIMS, st.booleans())
def test_the_given_axes_are_read_and_go(
    target: Any, extra: dict[str, Any], classes: str, one: int, two: int, three: int, dims: list[int], keep: bool
) -> None:
    node = Node(target, randn(one, two, three), dim=dims, keepdim=keep, **extra)
    axes = node.inputs[0]
    chosen = {dim % 3 for dim in dims}
    assert node.solver.read_atoms == {axes[axis] for axis in chosen}
    assert len(node.atoms) == 3
    carried = tuple(axes[i] for i in range(3) if i not in chosen)
    assert all(tuple(term for term in out if term != Frozen(1, "size 1")) == carried for out in node.outputs)
    assert node.check() in classes


@pytest.mark.parametrize(
    ("target", "arguments", "classes"),
    [
        (aten.sum.default, (), Z), (aten.mean.default, (), C), (aten.max.default, (), C), (aten.min.default, (), C),
        (aten.amax.default, (), C), (aten.linalg_vector_norm.default, (), Z), (aten.norm.Scalar, (2,), Z),
        (aten.var.default, (False,), C), (aten.std.default, (False,), C), (aten.sum.dim_IntList, ([],), Z),
        (aten.mean.dim, (None,), C), (aten.var.correction, (None,), C),
    ],
)  # fmt: skip
def test_no_axis_given_means_all_of_them(target: Any, arguments: tuple[Any, ...], classes: str) -> None:
    node = Node(target, -randn(3, 4).abs() if target is aten.max.default else randn(3, 4).abs(), *arguments)
    if target is not aten.var.correction:
        assert node.solver.read_atoms == set(node.inputs[0])
    assert node.outputs == [()]
    assert node.check() in classes


def test_axes_are_found_by_their_name_and_not_by_their_place() -> None:
    """The order of a norm stands where other reductions have their axes."""
    node = Node(aten.linalg_vector_norm.default, randn(3, 4, 5), 1, [2])
    assert node.outputs == [node.inputs[0][:2]]
    node = Node(aten.norm.ScalarOpt_dim, randn(3, 4, 5), 2, [1], True)
    assert node.outputs == [(node.inputs[0][0], Frozen(1, "size 1"), node.inputs[0][2])]


@pytest.mark.parametrize("order", [-1.0, float("-inf")])
def test_norms_of_negative_order_keep_their_axes(order: float) -> None:
    node = Node(aten.norm.ScalarOpt_dim, randn(3, 4), order, [1])
    assert node.reason(0, 1) == f"aten.norm takes a norm of order {order} along this axis"
    assert node.check() == "L"
    node = Node(aten.linalg_vector_norm.default, randn(3, 4), order, [1])
    assert node.reason(0, 1) == f"aten.linalg_vector_norm takes a norm of order {order} along this axis"
    assert node.check() == "L"


@pytest.mark.parametrize(
    ("target", "arguments"),
    [
        (aten.var.correction, {}),
        (aten.std.dim, {}),
        (aten.var_mean.correction, {}),
        (aten.std.correction, {"correction": 2}),
    ],
)
def test_a_spread_that_might_divide_by_nothing_keeps_its_axis(target: Any, arguments: dict[str, Any]) -> None:
    """The smallest width leaves one unit, whose spread with correction 1 is 0 / 0: no number to train on."""
    node = Node(target, randn(3, 4), dim=[1], **arguments)
    assert node.reason(0, 1).endswith(" divides by the number of positions less one")
    assert node.check() == "L"
    found = target(randn(3, 1), dim=[1], **arguments)
    assert not torch.isfinite(found[0] if isinstance(found, tuple) else found).any()


def test_a_spread_over_enough_other_positions_counts_its_units() -> None:
    units = Atom(101, 4)
    node = Node(aten.std.correction, randn(3, 8), [1], ties={(0, 1): Product((units, Frozen(2, "image")))})
    assert units.key in node.atoms
    assert node.check() == "C"
    node = Node(aten.std.correction, randn(2, 4), [0, 1], ties={(0, 0): Frozen(2, "image")})
    assert len(node.atoms) == 1
    assert node.check() == "C"


@pytest.mark.parametrize(
    "target",
    [aten.max.dim, aten.min.dim, aten.argmax.default, aten.argmin.default, aten.median.dim, aten.any.dim, aten.all.dim],
)
@given(SIZES, SIZES, st.integers(-2, 1), st.booleans())
def test_an_axis_whose_positions_are_told_apart_keeps_its_size(
    target: Any, one: int, two: int, dim: int, keep: bool
) -> None:
    node = Node(target, randn(one, two), dim, keep)
    assert node.reason(0, dim).endswith(" tells the positions of this axis apart")
    assert set(node.atoms.values()) == {node.inputs[0][1 - dim % 2]}
    assert node.check() == "L"


@pytest.mark.parametrize("target", [aten.any.dims, aten.all.dims])
@pytest.mark.parametrize("dims", [[0], [-1], [0, 1]])
def test_several_axes_may_be_told_apart(target: Any, dims: list[int]) -> None:
    node = Node(target, randn(3, 4), dims, True)
    assert all(node.reason(0, dim).endswith(" tells the positions of this axis apart") for dim in dims)
    assert len(node.atoms) == 2 - len(dims)
    assert node.check() == "L"


@pytest.mark.parametrize("target", [aten.argmax.default, aten.any.default, aten.all.default])
def test_all_axes_are_told_apart_where_none_is_given(target: Any) -> None:
    node = Node(target, randn(3, 4))
    assert node.atoms == {}
    assert node.outputs == [()]


@pytest.mark.parametrize(
    ("target", "make"),
    [
        (aten.softmax.int, lambda dim: (dim,)), (aten._softmax.default, lambda dim: (dim, False)),
        (aten.log_softmax.int, lambda dim: (dim,)), (aten._log_softmax.default, lambda dim: (dim, False)),
        (aten.cumsum.default, lambda dim: (dim,)), (aten.flip.default, lambda dim: ([dim],)),
        (aten.roll.default, lambda dim: ([1], [dim])),
    ],
)  # fmt: skip
@given(SIZES, SIZES, st.integers(-2, 1))
def test_an_axis_along_which_units_are_mixed_keeps_its_size(
    target: Any, make: Any, one: int, two: int, dim: int
) -> None:
    node = Node(target, randn(one, two), *make(dim))
    assert node.reason(0, dim).endswith(" works along this axis")
    assert set(node.atoms.values()) == {node.inputs[0][1 - dim % 2]}
    assert node.check() == "L"


def test_roll_without_axes_mixes_them_all() -> None:
    node = Node(aten.roll.default, randn(3, 4), [1])
    assert node.atoms == {}
