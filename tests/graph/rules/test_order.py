from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.graph.rules.node import Node, randn
from widthwise.graph import Frozen

aten = torch.ops.aten
SIZES = st.integers(2, 5)
DIMS = st.integers(-2, 1)


@pytest.mark.parametrize(
    ("target", "before", "after"),
    [
        (aten.sort.default, (), ()), (aten.argsort.default, (), ()), (aten.topk.default, (2,), ()),
        (aten.kthvalue.default, (2,), ()), (aten.kthvalue.default, (2,), (True,)), (aten.mode.default, (), ()),
        (aten.cumprod.default, (), ()), (aten.cummax.default, (), ()), (aten.cummin.default, (), ()),
        (aten.logcumsumexp.default, (), ()), (aten.unfold.default, (), (2, 1)),
    ],
)  # fmt: skip
@given(SIZES, SIZES, DIMS)
def test_an_axis_that_is_put_in_order_keeps_its_size_and_the_other_passes(
    target: Any, before: tuple[Any, ...], after: tuple[Any, ...], rows: int, units: int, dim: int
) -> None:
    node = Node(target, randn(rows, units), *before, dim, *after)
    assert node.reason(0, dim).endswith(" works along this axis")
    other = node.inputs[0][1 - dim % 2]
    assert set(node.atoms.values()) == {other}
    assert all(other in axes for axes in node.outputs)
    assert node.check() == "L"


def test_a_stable_order_has_its_axis_by_name() -> None:
    node = Node(aten.sort.stable, randn(3, 4), stable=True, dim=0)
    assert node.reason(0, 0).endswith(" works along this axis")
    assert [axes[1] for axes in node.outputs] == [node.inputs[0][1]] * 2
    assert node.check() == "L"


def test_a_number_has_no_order() -> None:
    node = Node(aten.sort.default, randn())
    assert node.outputs == [(), ()]


@pytest.mark.parametrize("target", [aten.tril.default, aten.triu.default])
@given(SIZES, SIZES, SIZES, st.integers(-1, 1))
def test_triangles_keep_both_their_axes(target: Any, batch: int, rows: int, columns: int, diagonal: int) -> None:
    node = Node(target, randn(batch, rows, columns), diagonal)
    for axis in (1, 2):
        assert node.reason(0, axis).endswith(" works along this axis")
    assert set(node.atoms.values()) == {node.inputs[0][0]}
    assert node.check() == "L"


@pytest.mark.parametrize("target", [aten.fft_rfft.default, aten.fft_irfft.default, aten.fft_fft.default,
                                    aten.fft_ifft.default])  # fmt: skip
@given(SIZES, st.integers(3, 5), DIMS)
def test_an_axis_that_is_transformed_keeps_its_size(target: Any, rows: int, units: int, dim: int) -> None:
    shape = (rows, units) if dim % 2 else (units, rows)
    node = Node(target, randn(*shape), None, dim)
    assert node.reason(0, dim).endswith(" works along this axis")
    assert node.outputs[0][1 - dim % 2] == node.inputs[0][1 - dim % 2]
    assert isinstance(node.outputs[0][dim], Frozen)
    assert node.check() == "L"


@pytest.mark.parametrize("dims", [[1], [0, 2], [2, 1]])
@pytest.mark.parametrize(
    ("target", "is_complex", "more"),
    [(aten._fft_r2c.default, False, (0, True)), (aten._fft_c2r.default, True, (0, 4)),
     (aten._fft_c2c.default, True, (0, True))],
)  # fmt: skip
def test_several_axes_may_be_transformed(target: Any, is_complex: bool, more: tuple[Any, ...], dims: list[int]) -> None:
    # 3 frequencies are those of 4 real positions; the operator does not check that they are.
    x = randn(3, 3, 3)
    node = Node(target, torch.complex(x, x.flip(0)) if is_complex else x, dims, *more)
    assert len(node.atoms) == 3 - len(dims)
    for dim in dims:
        assert node.reason(0, dim).endswith(" works along this axis")
    assert node.check() == "L"
