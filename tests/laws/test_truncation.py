"""What cutting a layer to a prefix must satisfy, whatever the shape."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from widthwise.elastic.laws.named_laws import LAWS
from widthwise.elastic.layer import truncate

Case = tuple[Tensor, int, int]
TOLERANCE = {torch.float64: 1e-12, torch.float32: 1e-5}


@st.composite
def activations(draw: st.DrawFn) -> Case:
    """A tensor of one to four dimensions, one of them, and a width within it."""
    shape = draw(st.lists(st.integers(1, 7), min_size=1, max_size=4))
    dim = draw(st.integers(-len(shape), len(shape) - 1))
    dtype = draw(st.sampled_from([torch.float64, torch.float32]))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**32 - 1)))
    x = torch.randn(shape, generator=generator, dtype=dtype)
    return x, dim, draw(st.integers(1, x.size(dim)))


def assert_equal_to_rounding(a: Tensor, b: Tensor) -> None:
    assert a.shape == b.shape
    torch.testing.assert_close(a, b, rtol=0, atol=TOLERANCE[a.dtype] * max(1.0, float(b.abs().max())))


@given(case=activations(), zero_pad=st.booleans(), normalize=st.booleans())
def test_full_width_is_identity(case: Case, zero_pad: bool, normalize: bool) -> None:
    x, dim, _ = case
    assert truncate(x, x.size(dim), dim=dim, zero_pad=zero_pad, normalize=normalize) is x


@given(case=activations(), data=st.data(), normalize=st.booleans())
def test_a_prefix_of_a_prefix_is_the_prefix(case: Case, data: st.DataObject, normalize: bool) -> None:
    x, dim, kept = case
    fewer = data.draw(st.integers(1, kept))
    twice = truncate(truncate(x, kept, dim=dim, normalize=normalize), fewer, dim=dim, normalize=normalize)
    assert_equal_to_rounding(twice, truncate(x, fewer, dim=dim, normalize=normalize))


@given(case=activations(), zero_pad=st.booleans(), normalize=st.booleans())
def test_truncating_equals_masking_by_hand(case: Case, zero_pad: bool, normalize: bool) -> None:
    x, dim, kept = case
    shape = [-1 if i == dim % x.dim() else 1 for i in range(x.dim())]
    mask = (torch.arange(x.size(dim)) < kept).to(x.dtype).reshape(shape)
    masked = x * mask * (x.size(dim) / kept if normalize else 1.0)
    expected = masked if zero_pad else masked.index_select(dim, torch.arange(kept))
    assert_equal_to_rounding(truncate(x, kept, dim=dim, zero_pad=zero_pad, normalize=normalize), expected)


@given(case=activations(), zero_pad=st.booleans(), normalize=st.booleans())
def test_dropped_units_get_exactly_zero_gradient(case: Case, zero_pad: bool, normalize: bool) -> None:
    x, dim, kept = case
    x.requires_grad_()
    truncate(x, kept, dim=dim, zero_pad=zero_pad, normalize=normalize).sum().backward()
    gradient = x.grad.movedim(dim, 0)
    assert torch.equal(gradient[kept:], torch.zeros_like(gradient[kept:]))
    factor = x.size(dim) / kept if normalize else 1.0
    assert_equal_to_rounding(gradient[:kept], torch.full_like(gradient[:kept], factor))


@given(case=activations(), classes=st.integers(1, 4), normalize=st.booleans())
def test_a_linear_reader_cannot_tell_cutting_from_padding(case: Case, classes: int, normalize: bool) -> None:
    x, dim, kept = case
    x = x.movedim(dim, -1)
    weight = torch.randn(classes, x.size(-1), generator=torch.Generator().manual_seed(0), dtype=x.dtype)
    cut = functional.linear(truncate(x, kept, normalize=normalize), weight[:, :kept])
    padded = functional.linear(truncate(x, kept, zero_pad=True, normalize=normalize), weight)
    assert_equal_to_rounding(cut, padded)


@given(case=activations())
def test_what_is_dropped_cannot_be_seen_even_where_it_is_not_a_number(case: Case) -> None:
    x, dim, kept = case
    spoiled = x.clone()
    spoiled.narrow(dim, kept, x.size(dim) - kept).fill_(math.nan)
    if kept < x.size(dim):
        padded = truncate(spoiled, kept, dim=dim, zero_pad=True)
        assert torch.equal(padded, truncate(x, kept, dim=dim, zero_pad=True))
    assert torch.equal(truncate(spoiled, kept, dim=dim), truncate(x, kept, dim=dim))


@given(full=st.integers(1, 300), data=st.data())
def test_the_factor_keeps_the_sum_over_equal_units(full: int, data: st.DataObject) -> None:
    kept = data.draw(st.integers(1, full))
    total = truncate(torch.ones(full, dtype=torch.float64), kept).sum()
    assert math.isclose(float(total), full, rel_tol=1e-12)


def test_moments_of_the_publications_factor_grow_with_the_width() -> None:
    # Of U/c with c uniform below U: the mean is U/(U-1) times the harmonic number, the second moment about U pi^2/6.
    law, U = LAWS["paper"], 256
    factors = [law.factor(U, c) for c in range(1, U)]
    mean = sum(factors) / (U - 1)
    second = sum(factor**2 for factor in factors) / (U - 1)
    assert mean == pytest.approx(U / (U - 1) * sum(1 / c for c in range(1, U)), rel=1e-12)
    assert round(mean, 1) == 6.1
    assert second == pytest.approx(U * math.pi**2 / 6, rel=0.01)
