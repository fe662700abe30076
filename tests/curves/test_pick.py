import math
from dataclasses import replace

import pytest

from tests.curves.choices import COSTS, POINTS, choose, make_point, message_of
from widthwise._shared import CurveError, NoPointError
from widthwise.curves import Limits, Point
from widthwise.curves.pick import choose_point, find_nearest, parse_drop

# The rules, one by one


@pytest.mark.parametrize(
    ("limits", "width"),
    [
        ({"max_params": 60_000}, 0.5),
        ({"max_params": 59_999}, 0.125),
        ({"max_macs": 18_000}, 0.125),
        ({"max_bytes": 240_000}, 0.5),
        ({"max_latency_ms": 9.0}, 0.125),
        ({"min_score": 0.8}, 0.125),
        ({"min_score": 0.81}, 0.5),
        ({"max_drop": 0.02}, 0.5),
        ({"max_drop": 0.0}, 1.0),
        ({"max_drop": "20%"}, 0.125),
        ({"max_drop": "1%"}, 1.0),
        ({"max_params": 100_000, "max_drop": 0.2}, 0.5),
        ({"max_params": 100_000, "min_score": 0.5}, 0.5),
        ({"max_params": 100_000, "max_macs": 20_000}, 0.125),
        ({"min_score": 0.5, "max_drop": 0.02}, 0.5),
    ],
)
def test_the_pick_is_the_best_under_a_cost_and_the_cheapest_under_quality_alone(
    limits: dict[str, object], width: float
) -> None:
    assert choose(**limits).width == width


def test_equal_scores_go_to_fewer_parameters() -> None:
    points = [make_point(1.0, 0.9, 300), make_point(0.5, 0.9, 200), make_point(0.25, 0.8, 100)]

    assert choose(points, max_params=1000).width == 0.5
    assert choose(points, min_score=0.85).width == 0.5


def test_equal_parameters_go_to_fewer_macs_and_then_to_the_better_score() -> None:
    points = [
        make_point(1.0, 0.9, 100, macs=50),
        make_point(0.5, 0.9, 100, macs=40),
        make_point(0.25, 0.95, 100, macs=40),
    ]

    assert choose(points[:2], max_params=1000).width == 0.5
    assert choose(points[:2], min_score=0.5).width == 0.5
    assert choose(points, min_score=0.5).width == 0.25


def test_lower_is_better_where_the_score_says_so() -> None:
    points = [make_point(0.25, 3.0, 100), make_point(0.5, 2.0, 200), make_point(1.0, 1.9, 400)]

    assert choose(points, higher_is_better=False, max_params=300).width == 0.5
    assert choose(points, higher_is_better=False, min_score=2.5).width == 0.5
    assert choose(points, higher_is_better=False, max_drop=0.2).width == 0.5
    assert choose(points, higher_is_better=False, max_drop="60%").width == 0.25


def test_a_narrow_network_that_beats_the_full_one_has_no_drop() -> None:
    assert choose([make_point(0.5, 0.99, 10), make_point(1.0, 0.98, 20)], max_drop=0).width == 0.5


def test_a_drop_of_exactly_the_limit_is_within_it() -> None:
    assert 0.97 - 0.96 > 0.01
    assert choose([make_point(0.5, 0.96, 10), make_point(1.0, 0.97, 20)], max_drop=0.01).width == 0.5


def test_a_relative_drop_of_a_negative_score_is_relative_to_its_size() -> None:
    points = [make_point(0.5, -104.0, 10), make_point(1.0, -100.0, 20)]

    assert choose(points, max_drop="5%").width == 0.5
    assert choose(points, max_drop="3%").width == 1.0


# Refusals


def test_a_refusal_names_the_nearest_point_and_what_to_ask_for() -> None:
    assert message_of(max_params=100) == (
        "no point has at most 100 parameters; the nearest is width 0.03125 with 2,314 parameters (score 0.41); "
        "ask for max_params=2314 or train with a smaller `lowest`"
    )


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        (
            {"max_macs": 1000},
            (
                "no point has at most 1,000 MACs; the nearest is width 0.03125 with 4,628 MACs (score 0.41); "
                "ask for max_macs=4628 or train with a smaller `lowest`"
            ),
        ),
        (
            {"max_bytes": 9000},
            (
                "no point has at most 9,000 bytes; the nearest is width 0.03125 with 9,256 bytes (score 0.41); "
                "ask for max_bytes=9256 or train with a smaller `lowest`"
            ),
        ),
        (
            {"max_latency_ms": 0.5},
            (
                "no point has at most 0.5 ms; the nearest is width 0.03125 with 2.314 ms (score 0.41); "
                "ask for max_latency_ms=2.314 or train with a smaller `lowest`"
            ),
        ),
        (
            {"min_score": 0.99},
            (
                "no point has a score of at least 0.99; the nearest is width 1 with score 0.97; "
                "ask for min_score=0.97 or train longer"
            ),
        ),
        (
            {"max_params": 10_000, "max_drop": 0.05},
            (
                "no point has at most 10,000 parameters and a drop of at most 0.05; "
                "the nearest is width 0.125 with a drop of 0.17 (score 0.8); ask for max_drop=0.17 or train longer"
            ),
        ),
        (
            {"max_params": 10_000, "max_drop": " 5% "},
            (
                "no point has at most 10,000 parameters and a drop of at most 5%; "
                "the nearest is width 0.125 with a drop of 17.53% (score 0.8); "
                'ask for max_drop="17.53%" or train longer'
            ),
        ),
        (
            {"max_params": 2000, "min_score": 0.5},
            (
                "no point has at most 2,000 parameters and a score of at least 0.5; "
                "the nearest is width 0.03125 with 2,314 parameters, score 0.41; "
                "ask for max_params=2314 and min_score=0.41 or train longer"
            ),
        ),
    ],
)
def test_a_refusal_speaks_of_the_limits_that_its_point_breaks(limits: dict[str, object], message: str) -> None:
    assert message_of(**limits) == message


def test_a_percentage_where_scores_are_shares_is_explained() -> None:
    assert message_of(min_score=95.5) == (
        "no point has a score of at least 95.5; the nearest is width 1 with score 0.97; "
        "ask for min_score=0.97 or train longer; the scores here lie between 0 and 1: 95.5 % is 0.955"
    )
    assert message_of(min_score=100).endswith("; the scores here lie between 0 and 1: 100 % is 1")
    assert message_of(min_score=101).endswith("or train longer")
    assert message_of(min_score=0.99).endswith("or train longer")
    assert message_of([make_point(1.0, 1.5, 10)], min_score=2).endswith("or train longer")


def test_the_nearest_point_is_the_one_that_a_refusal_names() -> None:
    for limits in (Limits(max_params=100), Limits(min_score=2.0), Limits(max_params=10_000, max_drop=0.05)):
        nearest = find_nearest(POINTS, limits, higher_is_better=True)
        with pytest.raises(NoPointError, match=f"the nearest is width {nearest.label} with "):
            choose_point(POINTS, limits, higher_is_better=True)


def test_a_refusal_says_at_most_where_lower_is_better() -> None:
    points = [make_point(0.5, 3.00004, 10), make_point(1.0, 2.00004, 20)]

    assert message_of(points, higher_is_better=False, min_score=1.5) == (
        "no point has a score of at most 1.5; the nearest is width 1 with score 2.001; "
        "ask for min_score=2.001 or train longer"
    )


def test_a_percentage_of_a_score_of_zero_is_asked_for_as_a_number() -> None:
    points = [make_point(0.5, -0.5, 10), make_point(1.0, 0.0, 1000)]

    assert message_of(points, max_params=15, max_drop="5%").endswith("ask for max_drop=0.5 or train longer")


# Limits that make no sense


def test_no_limit_is_refused() -> None:
    with pytest.raises(CurveError) as caught:
        Limits()

    assert str(caught.value) == (
        "expected at least one limit to pick a point by, got none; "
        "set one of max_params, max_macs, max_bytes, max_latency_ms, max_memory, min_score, max_drop"
    )


@pytest.mark.parametrize("name", list(COSTS))
@pytest.mark.parametrize("limit", [0, -1, math.inf, math.nan, True, "100"])
def test_a_cost_that_is_no_positive_number_is_refused(name: str, limit: object) -> None:
    with pytest.raises(CurveError) as caught:
        Limits(**{name: limit})  # pyright: ignore[reportArgumentType]

    assert str(caught.value) == f"expected {name} to be a positive number, got {limit!r}; give such a number"


@pytest.mark.parametrize("limit", [math.nan, math.inf, True, "0.9"])
def test_a_least_score_that_is_no_number_is_refused(limit: object) -> None:
    with pytest.raises(CurveError) as caught:
        Limits(min_score=limit)  # pyright: ignore[reportArgumentType]

    assert str(caught.value) == f"expected min_score to be a finite number, got {limit!r}; give such a number"


@pytest.mark.parametrize(
    "drop", [-0.1, math.nan, math.inf, True, "1", "0.01", "-1%", "one%", "%", "", "nan%", "1%%", [0.1]]
)
def test_a_drop_that_is_neither_a_number_nor_a_percentage_is_refused(drop: object) -> None:
    with pytest.raises(CurveError) as caught:
        Limits(max_drop=drop)  # pyright: ignore[reportArgumentType]

    assert str(caught.value) == (
        "expected max_drop to be a number of at least 0 in the unit of the score, "
        f'or a percentage such as "1%", got {drop!r}; give one of the two'
    )


@pytest.mark.parametrize(
    ("drop", "parsed"), [(0.01, (0.01, False)), (2, (2.0, False)), ("1%", (0.01, True)), (" 2.5 % ", (0.025, True))]
)
def test_a_drop_is_read_as_a_number_or_as_a_percentage(drop: object, parsed: tuple[float, bool]) -> None:
    assert parse_drop(drop) == parsed


def test_a_drop_needs_the_full_width() -> None:
    with pytest.raises(CurveError) as caught:
        choose(POINTS[:3], max_drop=0.01)

    assert str(caught.value) == (
        "expected a curve with the full width for max_drop, got none; measure it again with 1.0 among the widths"
    )


def test_a_latency_that_nobody_measured_cannot_be_limited() -> None:
    point = Point(width=0.5, widths={"fc1": 1}, score=0.5, params=1, macs=1, bytes=1)

    with pytest.raises(CurveError) as caught:
        choose([*POINTS, point], max_latency_ms=1.0)

    assert str(caught.value) == (
        "expected a curve with latencies for max_latency_ms, got none at width 0.5; "
        "measure the curve again with latency=True"
    )


def test_memory_is_a_cost_like_others() -> None:
    points = [replace(point, memory_bytes=8 * point.params) for point in POINTS]

    assert choose(points, max_memory=8 * 9000) is points[1]
    with pytest.raises(NoPointError) as caught:
        choose(points, max_memory=10_000)
    assert str(caught.value).startswith(
        "no point has at most 10,000 bytes of activations; the nearest is width 0.03125 with 18,512 bytes of "
        "activations (score 0.41); ask for max_memory=18512 or train with"
    )


def test_a_curve_without_memory_says_how_to_get_it() -> None:
    with pytest.raises(CurveError) as caught:
        choose(max_memory=1000)
    assert str(caught.value) == (
        "expected a curve with memory for max_memory, got none at width 0.03125; "
        "measure the curve again, which adds it without scoring anything"
    )
    with pytest.raises(CurveError, match="expected max_memory to be a positive number, got 0; give such a number"):
        Limits(max_memory=0)
