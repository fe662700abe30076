import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from widthwise._shared import GroupError
from widthwise.elastic.octaves.octave import blend, count_octaves

ROWS = torch.tensor([[1.0, 10.0], [3.0, 30.0], [7.0, 70.0]], dtype=torch.float64)


@pytest.mark.parametrize(("fraction", "row"), [(0.5, 0), (0.25, 1), (0.125, 2), (0.1, 2), (1e-6, 2)])
def test_an_octave_has_its_own_row_and_the_last_one_serves_below(fraction: float, row: int) -> None:
    found = blend(ROWS, fraction)
    assert found is not None
    assert torch.equal(found, ROWS[row])


def test_full_width_has_none() -> None:
    assert blend(ROWS, 1.0) is None


@given(octave=st.floats(0, 3, exclude_min=True))
def test_between_octaves_values_lie_on_a_line(octave: float) -> None:
    found, knots = blend(ROWS, 2**-octave), [0.0, 1.0, 3.0, 7.0]
    above = min(2, math.floor(octave))
    expected = knots[above] + (octave - above) * (knots[above + 1] - knots[above])
    if found is None:
        # So near to full that the fraction is 1 in rounding.
        assert octave < 1e-15
    else:
        torch.testing.assert_close(found, expected * torch.tensor([1.0, 10.0], dtype=torch.float64), rtol=0, atol=1e-12)


def test_both_neighbours_learn_by_their_share() -> None:
    rows = ROWS.clone().requires_grad_()
    found = blend(rows, 2**-1.25)
    assert found is not None
    found.sum().backward()
    assert rows.grad is not None
    torch.testing.assert_close(rows.grad[:, 0], torch.tensor([0.75, 0.25, 0.0], dtype=torch.float64))


@pytest.mark.parametrize("fraction", [0.0, -1.0, 1.1])
def test_a_fraction_out_of_range_is_an_error(fraction: float) -> None:
    with pytest.raises(GroupError) as caught:
        blend(ROWS, fraction)
    assert str(caught.value) == f"a fraction must lie in (0, 1], got {fraction}; use 1.0 for the full model"


@pytest.mark.parametrize(("lowest", "number"), [(1 / 32, 5), (1 / 8, 3), (0.2, 2), (0.9, 1)])
def test_octaves_reach_to_the_lowest_fraction(lowest: float, number: int) -> None:
    assert count_octaves(lowest) == number
