import pytest
import torch

from tests.networks import assert_same, make_generator
from widthwise.elastic.octaves.octave import share_octaves
from widthwise.graph import Atom, Axes, Frozen, Product, indices, resize, size_of
from widthwise.slicing.octave_inputs import OctaveCorrection, spread
from widthwise.slicing.running.cut import cut

AXES: Axes = (Product((Frozen(2, "pair"), Atom(0, 8))), Atom(1, 4))


@pytest.mark.parametrize("units", [(8, 4), (4, 2), (2, 1), (5, 3), (1, 4), (1, 1)])
def test_units_take_the_shares_of_the_geometric_mean(units: tuple[int, int]) -> None:
    rows = torch.randn(3, 16, generator=make_generator(0))
    kept = {0: units[0], 1: units[1]}
    part = torch.randn(2 * units[0], units[1], generator=make_generator(1))
    shares = share_octaves((units[0] / 8 * units[1] / 4) ** 0.5, 3)
    values = cut(sum((share * rows[octave] for octave, share in shares), torch.zeros(16)), AXES[:1], kept)
    weights = OctaveCorrection(rows, axis=0, sizes={0: 8, 1: 4})
    assert_same(weights(part, AXES, kept), part * (1 + values)[:, None])
    assert_same(weights(part[:, 0], AXES[:1], kept), part[:, 0] + values)


@pytest.mark.parametrize("units", [(8, 4), (4, 2), (2, 1), (5, 3), (1, 4), (1, 1)])
def test_single_numbers_take_the_shares_of_the_largest_fraction(units: tuple[int, int]) -> None:
    rows = torch.randn(3, 16, 4, generator=make_generator(0))
    kept = {0: units[0], 1: units[1]}
    part = torch.randn(2 * units[0], units[1], generator=make_generator(1))
    shares = share_octaves(max(units[0] / 8, units[1] / 4), 3)
    values = cut(sum((share * rows[octave] for octave, share in shares), torch.zeros(16, 4)), AXES, kept)
    assert_same(OctaveCorrection(rows, axis=None, sizes={0: 8, 1: 4})(part, AXES, kept), part + values)


def test_what_an_octave_lacks_is_zero_and_the_rest_is_where_its_units_are() -> None:
    full = torch.zeros(16, 4)
    parts: list[tuple[torch.Tensor, Axes]] = []
    for sizes in ({}, {0: 4, 1: 2}, {0: 3, 1: 1}):
        own = tuple(resize(term, sizes) for term in AXES)
        shape = [int(size_of(term)) for term in own]
        parts.append((torch.randn(shape, generator=make_generator(0)), own))
    rows = spread(parts, AXES, full)
    assert rows.shape == (3, 16, 4)
    for row, (tensor, own) in zip(rows, parts, strict=True):
        assert row.count_nonzero() == tensor.numel()
        kept = {0: own[0].factors[1].size, 1: own[1].size}  # pyright: ignore[reportAttributeAccessIssue]
        assert_same(row[indices(AXES[0], kept)][:, indices(AXES[1], kept)], tensor)
