import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.curves.pairs import compare
from widthwise._shared import CurveError, NoPointError
from widthwise.curves.proof.promise import Promise


@given(limit=st.floats(0.01, 0.5), confidence=st.floats(0.5, 0.999))
def test_fewer_samples_than_the_least_prove_nothing(limit: float, confidence: float) -> None:
    promise = Promise(max_drop=limit, confidence=confidence, bounds=(0, 1))
    none = torch.zeros(promise.least_samples() - 1)
    assert compare(none, promise).verdict == "undecided"
    many = torch.zeros(8 * promise.least_samples())
    assert compare(many, promise).verdict == "within"


def test_the_limit_is_read_from_what_is_asked() -> None:
    relative = Promise(max_drop="1%", bounds=(0, 4))
    assert (relative.limit, relative.is_relative, relative.unit, relative.spread) == (0.01, True, 4.0, 4.0)
    plain = Promise(max_drop=0.01, confidence=0.9, bounds=(0, 4))
    assert (plain.limit, plain.is_relative, plain.unit) == (0.01, False, 1.0)
    assert plain.log_goal == pytest.approx(math.log(10))


def test_known_bounds_promise_more() -> None:
    assert Promise(max_drop=0.1, bounds=(0, 1)).guarantee == "any sample size"
    assert Promise(max_drop=0.1).guarantee == "many samples"
    assert Promise(max_drop=0.1).spread is None
    assert (Promise(max_drop=0.1).first_look(1000), Promise(max_drop=0.1).first_look(10_000)) == (200, 500)
    assert Promise(max_drop=0.1).least_samples() == 200


@pytest.mark.parametrize("confidence", [0, 1, 95, -0.1, math.nan, True, "95%"])
def test_a_confidence_that_is_no_share_is_refused(confidence: object) -> None:
    with pytest.raises(CurveError) as caught:
        Promise(max_drop=0.01, confidence=confidence)  # pyright: ignore[reportArgumentType]
    assert str(caught.value) == (
        f"expected confidence to lie between 0 and 1, got {confidence!r}; give a share such as 0.95"
    )


@pytest.mark.parametrize("bounds", [(1, 0), (0, math.inf), (0, 0), (math.nan, 1)])
def test_bounds_that_are_none_are_refused(bounds: tuple[float, float]) -> None:
    with pytest.raises(CurveError, match="expected bounds to be the least and the greatest score of a sample, got"):
        Promise(max_drop=0.01, bounds=bounds)


@pytest.mark.parametrize("max_drop", [0, 0.0, "0%"])
def test_no_drop_at_all_cannot_be_proven(max_drop: float | str) -> None:
    with pytest.raises(NoPointError) as caught:
        Promise(max_drop=max_drop)
    assert str(caught.value) == (
        "expected a max_drop above 0, got 0: no number of samples proves that two networks are equally good; "
        'allow a little, such as 0.005 or "0.5%"'
    )


def test_a_drop_of_the_whole_range_is_refused() -> None:
    with pytest.raises(CurveError) as caught:
        Promise(max_drop=1, bounds=(0, 1))
    assert str(caught.value) == (
        "expected max_drop to be below what a score between 0 and 1 can drop at all, got 1; "
        "one point of accuracy is 0.01"
    )
    with pytest.raises(CurveError, match="a percentage such as"):
        Promise(max_drop="much")
