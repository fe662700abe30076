import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.curves.choices import make_point
from widthwise._shared import CurveError
from widthwise.curves import Evidence, Point, Trial

finite = st.floats(allow_nan=False, allow_infinity=False)
trials = st.builds(
    Trial,
    width=st.none() | st.floats(0.001, 1.0),
    widths=st.dictionaries(st.text(max_size=4), st.integers(1, 999), max_size=3),
    verdict=st.sampled_from(["within", "beyond", "undecided"]),
    num_samples=st.integers(0, 10**9),
    drop=finite,
    bound=st.none() | finite,
)
evidences = st.builds(
    Evidence,
    max_drop=st.floats(0.001, 1.0) | st.just("1%"),
    confidence=st.floats(0.5, 0.999),
    guarantee=st.sampled_from(["any sample size", "many samples"]),
    num_available=st.integers(0, 10**9),
    num_full=st.integers(0, 10**9),
    num_narrow=st.integers(0, 10**9),
    trials=st.lists(trials, max_size=3).map(tuple),
)
EVIDENCE = Evidence(
    max_drop=0.01,
    confidence=0.95,
    guarantee="any sample size",
    num_available=10_000,
    num_full=1200,
    num_narrow=1700,
    trials=(
        Trial(width=0.5, widths={"fc1": 16}, verdict="within", num_samples=500, drop=-0.002, bound=0.0093),
        Trial(width=None, widths={"fc1": 8}, verdict="undecided", num_samples=1200, drop=0.0125, bound=None),
    ),
)


@given(evidence=evidences)
def test_evidence_survives_json_in_a_point(evidence: Evidence) -> None:
    point = replace(make_point(0.5, 0.9, 100), evidence=evidence)
    assert Point.from_dict(json.loads(json.dumps(point.to_dict()))) == point


def test_points_of_before_have_no_evidence() -> None:
    content = make_point(0.5, 0.9, 100).to_dict()
    del content["evidence"]
    assert Point.from_dict(content).evidence is None


def test_it_prints_what_was_tested() -> None:
    assert EVIDENCE.num_samples == 2900
    assert str(EVIDENCE) == (
        "width  samples     drop  at most  drop <= 0.01\n"
        "  0.5      500  -0.0020   0.0093        proven\n"
        "fc1=8    1,200   0.0125        -    not proven"
    )


def test_a_relative_drop_is_in_percent() -> None:
    assert replace(EVIDENCE, max_drop="1%").cells()[:2] == [
        ["width", "samples", "drop %", "at most %", "drop <= 1%"],
        ["0.5", "500", "-0.2000", "0.9300", "proven"],
    ]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"confidence": None}, "confidence in evidence to be a finite number, got None"),
        ({"max_drop": [1]}, "max_drop in evidence to be a finite number, got [1]"),
        ({"num_full": -1}, "num_full in evidence to be a non-negative integer, got -1"),
        ({"guarantee": "sure"}, "guarantee in evidence to be one of any sample size, many samples, got 'sure'"),
        ({"trials": None}, "trials in evidence to be a list, got None"),
        ({"trials": [3]}, "a trial in evidence to be an object, got 3"),
        ({"trials": [{"width": None, "widths": None}]}, "widths of a trial in evidence to be an object, got None"),
    ],
)
def test_damage_is_named(changes: dict[str, object], expected: str) -> None:
    with pytest.raises(CurveError) as caught:
        Evidence.from_dict({**EVIDENCE.to_dict(), **changes})
    assert str(caught.value) == f"expected {expected}; the file is damaged: pick again"


def test_evidence_that_is_no_object_is_damaged() -> None:
    with pytest.raises(CurveError, match="expected what is kept in evidence to be an object, got 3"):
        Evidence.from_dict(3)
