import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.curves.pairs import compare, draw_drops
from widthwise._shared import CurveError
from widthwise.curves.proof.comparison import Comparison
from widthwise.curves.proof.promise import Promise

KNOWN, UNKNOWN = Promise(max_drop=0.05, bounds=(0, 1)), Promise(max_drop=0.05)


@pytest.mark.parametrize("promise", [KNOWN, UNKNOWN], ids=["bounds", "no bounds"])
@given(worse=st.floats(0, 0.2), better=st.floats(0, 0.2), seed=st.integers(0, 99))
def test_within_is_a_bound_below_the_limit(promise: Promise, worse: float, better: float, seed: int) -> None:
    found = compare(draw_drops(worse, better, 1000, seed=seed), promise)
    bound = found.bound()
    assert bound is not None
    # The bound is found by halving.
    assert (found.verdict == "within") == (bound <= 0.05 * (1 + 1e-9))
    assert bound >= 0


@pytest.mark.parametrize("bounds", [(0, 1), None])
@pytest.mark.parametrize(("worse", "verdict"), [(0.0, "within"), (0.05, "undecided"), (0.15, "beyond")])
def test_small_and_large_drops_are_told_apart(bounds: tuple[float, float] | None, worse: float, verdict: str) -> None:
    promise = Promise(max_drop=0.05, bounds=bounds)
    assert compare(draw_drops(worse, 0.0, 1000, seed=2), promise).verdict == verdict


@pytest.mark.parametrize("bounds", [(0, 1), None])
def test_a_bound_is_lower_with_more_samples_and_higher_with_more_confidence(bounds: tuple[float, float] | None) -> None:
    def bound(count: int, confidence: float) -> float:
        promise = Promise(max_drop=0.05, confidence=confidence, bounds=bounds)
        found = compare(draw_drops(0.03, 0.01, 4000, seed=2)[:count], promise, horizon=4000).bound()
        assert found is not None
        return found

    assert bound(4000, 0.95) <= bound(2000, 0.95) <= bound(1000, 0.95)
    assert bound(4000, 0.8) < bound(4000, 0.95) < bound(4000, 0.99)


def test_bounds_hold_as_often_as_they_say() -> None:
    runs, drop = 200, 0.02
    promise = Promise(max_drop=0.05, confidence=0.9, bounds=(0, 1))
    bounds = [compare(draw_drops(0.03, 0.01, 500, seed=seed), promise).bound() for seed in range(runs)]
    broken = sum(bound is not None and bound < drop for bound in bounds) / runs
    assert broken <= 0.1 + 5 * math.sqrt(0.1 * 0.9 / runs)


def test_too_few_samples_give_no_bound_where_there_are_no_bounds_of_the_score() -> None:
    assert compare(torch.zeros(50), UNKNOWN).bound() is None
    assert compare(torch.zeros(50), KNOWN).bound() == pytest.approx(0.0748350, rel=1e-5)


def test_a_better_network_has_a_bound_of_zero_and_a_drop_below() -> None:
    found = compare(draw_drops(0.0, 0.5, 1000), KNOWN)
    assert found.drop == pytest.approx(-0.5, abs=0.1)
    assert found.bound() == pytest.approx(0, abs=1e-9)
    assert found.verdict == "within"


def test_the_score_that_is_better_says_which_way_a_drop_goes() -> None:
    full, narrow = torch.tensor([3.0, 4.0]), torch.tensor([2.0, 2.0])
    higher = Comparison.of(full, narrow, UNKNOWN, higher_is_better=True, horizon=9)
    lower = Comparison.of(full, narrow, UNKNOWN, higher_is_better=False, horizon=9)
    assert (higher.drops.tolist(), higher.drop) == ([1.0, 2.0], 1.5)
    assert (lower.drops.tolist(), lower.drop) == ([-1.0, -2.0], -1.5)


def test_a_relative_drop_is_in_units_of_the_full_score() -> None:
    full, narrow = torch.tensor([3.0, 5.0]), torch.tensor([2.0, 4.0])
    promise = Promise(max_drop="10%")
    found = Comparison.of(full, narrow, promise, higher_is_better=True, horizon=9)
    assert (found.drop, found.units.tolist()) == (0.25, [3.0, 5.0])
    # A score that is below zero, such as a log likelihood, has a size too.
    assert Comparison.of(-full, -full - 1, promise, higher_is_better=True, horizon=9).drop == 0.25


@pytest.mark.parametrize("bounds", [(0.0, 1.0), None])
def test_the_relative_test_is_the_absolute_one_where_full_width_is_always_right(
    bounds: tuple[float, float] | None,
) -> None:
    drops = draw_drops(0.03, 0.0, 1000)
    relative = compare(drops, Promise(max_drop="5%", bounds=bounds))
    absolute = compare(drops, Promise(max_drop=0.05, bounds=bounds))
    assert relative.verdict == absolute.verdict == "within"
    assert relative.bound() == pytest.approx(absolute.bound(), rel=1e-6)


def test_the_unit_of_the_score_changes_nothing() -> None:
    drops = draw_drops(0.04, 0.02, 900, seed=7)
    for bounds, hundred in ((KNOWN.bounds, (0, 100)), (None, None)):
        share = compare(drops, Promise(max_drop=0.05, bounds=bounds)).bound()
        percent = compare(100 * drops, Promise(max_drop=5, bounds=hundred)).bound()
        assert share is not None
        assert percent == pytest.approx(100 * share, rel=1e-6)


def test_scores_of_both_signs_have_no_relative_drop() -> None:
    full = torch.tensor([1.0, -1.0])
    with pytest.raises(CurveError) as caught:
        Comparison.of(full, full, Promise(max_drop="1%"), higher_is_better=True, horizon=2)
    assert str(caught.value) == (
        "expected scores of one sign for the relative max_drop='1%', got some above 0 and some below; "
        "give max_drop in the unit of the score"
    )


def test_hope_ends_where_luck_would_not_help() -> None:
    at_limit = compare(draw_drops(0.06, 0.01, 3000, seed=4), KNOWN, horizon=4000)
    assert not at_limit.has_hope(4000)
    assert at_limit.has_hope(400_000)
    assert not compare(draw_drops(0.2, 0.0, 600), KNOWN).has_hope(10**9)
    # Nothing is given up before there is much to judge by.
    assert compare(draw_drops(0.2, 0.0, 400), KNOWN).has_hope(500)


def test_the_bound_of_a_sample() -> None:
    assert compare(draw_drops(0.03, 0.01, 2000, seed=0), KNOWN).bound() == pytest.approx(0.0336, rel=0.05)
