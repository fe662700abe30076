import itertools
import math
import warnings

import pytest

from tests.curves.stand_in import StandIn
from widthwise._shared import CurveError, WidthError
from widthwise.curves import Point
from widthwise.curves.grid import half_octaves, make_candidates, octaves, warn_of_untrained

POINT = Point(width=0.5, widths={"fc1": 16, "fc2": 8}, score=0.0, params=1, macs=1, bytes=1)


def test_half_octaves_of_the_default_law_are_eleven() -> None:
    fractions = half_octaves(1 / 32)

    assert len(fractions) == 11
    assert (fractions[0], fractions[-1]) == (1.0, 1 / 32)
    assert all(wide / narrow == pytest.approx(math.sqrt(2)) for wide, narrow in itertools.pairwise(fractions))


@pytest.mark.parametrize("lowest", [1.0, 0.9, 0.3, 1 / 3, 2**-0.5, 2**-1.5, 1 / math.sqrt(8), 2**-16])
def test_half_octaves_end_at_the_lowest_and_hold_it_once(lowest: float) -> None:
    fractions = half_octaves(lowest)

    assert fractions[-1] == pytest.approx(lowest, rel=1e-12)
    assert fractions == sorted(set(fractions), reverse=True)
    assert all(wide / narrow < 1.5 for wide, narrow in itertools.pairwise(fractions))


@pytest.mark.parametrize("lowest", [0.0, -1.0, 1.5, float("nan")])
def test_a_lowest_outside_its_range_is_refused(lowest: float) -> None:
    with pytest.raises(CurveError) as caught:
        half_octaves(lowest)

    assert str(caught.value) == (
        f"expected the smallest width to lie in (0, 1], got {lowest!r}; check the law of the model"
    )


def test_fractions_of_the_same_network_are_one_candidate(model: StandIn) -> None:
    candidates = make_candidates(model, [0.5, 0.501, 0.25])

    assert [(one.width, one.widths) for one in candidates] == [
        (0.5, {"fc1": 16, "fc2": 8}),
        (0.25, {"fc1": 8, "fc2": 4}),
    ]


def test_whatever_rounds_to_full_is_full_width(model: StandIn) -> None:
    assert [one.width for one in make_candidates(model, [0.999])] == [1.0]
    assert [one.width for one in make_candidates(model, [{}])] == [1.0]


def test_widths_by_group_have_no_fraction_unless_one_gives_the_same(model: StandIn) -> None:
    assert [one.width for one in make_candidates(model, [{"fc1": 4}])] == [None]
    assert [one.width for one in make_candidates(model, [{"fc1": 16, "fc2": 8}, 0.5])] == [0.5]
    assert [one.width for one in make_candidates(model, [0.5, {"fc1": 16, "fc2": 8}])] == [0.5]


def test_a_point_keeps_its_fraction(model: StandIn) -> None:
    assert [(one.width, one.widths) for one in make_candidates(model, [POINT])] == [(0.5, POINT.widths)]


def test_a_candidate_is_labelled_like_its_point(model: StandIn) -> None:
    assert [one.label for one in make_candidates(model, [0.5, {"fc1": 4}])] == ["0.5", "fc1=4, fc2=16"]


def test_no_width_at_all_is_refused(model: StandIn) -> None:
    with pytest.raises(CurveError) as caught:
        make_candidates(model, [])

    assert str(caught.value) == "expected at least one width to measure, got none; give some, or None for half octaves"


def test_a_width_that_the_model_refuses_is_refused(model: StandIn) -> None:
    with pytest.raises(WidthError, match=r"width must lie in \(0, 1\], got 2.0"):
        make_candidates(model, [2.0])


def test_widths_below_those_trained_are_warned_of_by_name(model: StandIn) -> None:
    candidates = make_candidates(model, [0.5, 0.05, {"fc2": 1}])

    with pytest.warns(UserWarning, match="smallest fraction that was trained") as caught:
        warn_of_untrained(model, candidates, 1 / 8)

    assert str(caught[0].message) == (
        "expected widths of at least 0.125, the smallest fraction that was trained, got 0.05, fc1=32, fc2=1; "
        "scores there are of untrained networks: ask for wider ones, or train with a smaller `lowest`"
    )


def test_a_fraction_below_the_lowest_that_rounds_to_a_trained_network_is_not_warned_of(model: StandIn) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warn_of_untrained(model, make_candidates(model, [0.124]), 1 / 8)

    assert caught == []


def test_octaves_are_every_other_half_octave() -> None:
    assert octaves(1 / 32) == half_octaves(1 / 32)[::2]
    assert octaves(0.2) == [1.0, 0.5, 0.25, 0.2]
    assert octaves(1.0) == [1.0]
