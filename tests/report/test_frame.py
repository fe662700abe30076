import math
from dataclasses import replace
from itertools import combinations, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.report.samples import make_curve, make_errors, make_point
from widthwise._shared import CurveError
from widthwise.curves import Curve
from widthwise.report.frame import band_of, choose_labelled, linear_ticks, log_ticks, make_frame, place_words
from widthwise.report.words import width_words

scores = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=11)


@given(first=scores, second=scores)
def test_every_point_of_every_curve_lies_within_the_frame(first: list[float], second: list[float]) -> None:
    one, two = make_curve(*first, name="loss"), make_curve(*second, name="loss")
    frame = make_frame(one, {"other": two}, None)

    for point in [*one, *two]:
        x, y = frame.place(point.params, point.score)
        assert 0 < x < 1
        assert 0 < y < 1


@given(first=scores)
def test_ticks_lie_within_the_frame_and_are_more_than_one(first: list[float]) -> None:
    frame = make_frame(make_curve(*first, name="loss"), {}, None)

    for ticks, (low, high) in ((frame.x_ticks, frame.x_range), (frame.y_ticks, frame.y_range)):
        assert 2 <= len(ticks) <= 8
        assert list(ticks) == sorted(set(ticks))
        assert all(low - 1e-9 * abs(low) <= tick <= high + 1e-9 * abs(high) for tick in ticks)


def test_a_point_from_elsewhere_is_held_too() -> None:
    point = replace(make_point(0, 0.2), params=10**9)
    x, y = make_frame(make_curve(), {}, point).place(point.params, point.score)

    assert 0 < x < 1
    assert 0 < y < 1


def test_a_network_without_parameters_stands_at_one() -> None:
    curve = Curve(points=(replace(make_point(0, 0.5), params=0),))

    assert make_frame(curve, {}, None).place_point(curve.points[0]) == pytest.approx((0.5, 0.5))


def test_place_goes_from_corner_to_corner() -> None:
    frame = make_frame(make_curve(), {}, None)

    assert frame.place(frame.x_range[0], frame.y_range[0]) == pytest.approx((0, 0))
    assert frame.place(frame.x_range[1], frame.y_range[1]) == pytest.approx((1, 1))
    assert frame.place(math.sqrt(math.prod(frame.x_range)), sum(frame.y_range) / 2) == pytest.approx((0.5, 0.5))


def test_curves_of_different_scores_are_refused() -> None:
    with pytest.raises(CurveError) as caught:
        make_frame(make_curve(), {"the other": make_curve(0.5, name="loss", higher_is_better=False)}, None)

    assert str(caught.value) == (
        "expected curves of one score in a picture, got accuracy and, in the other, loss; draw them one by one"
    )


@given(low=st.floats(1, 1e12), factor=st.floats(1.05, 1e12))
def test_logarithmic_ticks_are_two_to_eight_round_numbers(low: float, factor: float) -> None:
    ticks = log_ticks(low, low * factor)

    assert 2 <= len(ticks) <= 8
    assert all(low <= tick * (1 + 1e-9) and tick <= low * factor * (1 + 1e-9) for tick in ticks)


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (300, 30_000, (500, 1000, 2000, 5000, 10_000, 20_000)),
        (1, 200, (1, 2, 5, 10, 20, 50, 100, 200)),
        (5, 20_000, (10, 30, 100, 300, 1000, 3000, 10_000)),
        (5, 2e7, (10, 100, 1000, 10_000, 100_000, 1e6, 1e7)),
        (1, 1e12, (1, 100, 1e4, 1e6, 1e8, 1e10, 1e12)),
        (3000, 4000, (3000, 3200, 3400, 3600, 3800, 4000)),
    ],
)
def test_logarithmic_ticks_are_pinned(low: float, high: float, ticks: tuple[float, ...]) -> None:
    assert log_ticks(low, high) == pytest.approx(ticks)


@given(low=st.floats(-1e6, 1e6), span=st.floats(1e-3, 1e6))
def test_linear_ticks_are_three_to_eight_and_evenly_apart(low: float, span: float) -> None:
    ticks = linear_ticks(low, low + span)
    steps = [after - before for before, after in pairwise(ticks)]

    assert 3 <= len(ticks) <= 8
    assert max(steps) == pytest.approx(min(steps), rel=1e-6)


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0.37, 0.99, (0.4, 0.5, 0.6, 0.7, 0.8, 0.9)),
        (0.0, 1.0, (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)),
        (-1.0, 8.5, (0.0, 2.0, 4.0, 6.0, 8.0)),
        (96.1, 97.7, (96.25, 96.5, 96.75, 97.0, 97.25, 97.5)),
    ],
)
def test_linear_ticks_are_pinned_without_rounding_errors(low: float, high: float, ticks: tuple[float, ...]) -> None:
    assert linear_ticks(low, high) == ticks


GAP = (0.2, 0.2)


@given(heights=st.lists(st.floats(0, 1), min_size=1, max_size=11), index=st.integers(0, 10))
def test_labels_have_room_and_the_picked_point_has_one(heights: list[float], index: int) -> None:
    curve = make_curve(*heights)
    point = curve.points[index % len(curve)]
    frame = make_frame(curve, {}, point)
    chosen = choose_labelled(curve.points, frame, point, gap=GAP)

    assert point in chosen
    for one, other in combinations(chosen, 2):
        (x1, y1), (x2, y2) = (frame.place(found.params, found.score) for found in (one, other))
        assert abs(x1 - x2) >= GAP[0] or abs(y1 - y2) >= GAP[1]


def test_full_width_and_whole_fractions_are_labelled_before_others() -> None:
    points = make_curve().points[1:]
    few = choose_labelled(points, make_frame(make_curve(), {}, None), None, gap=(0.12, 2.0))

    assert width_words(points[0]) == "0.044"
    assert [width_words(point) for point in few] == ["full", "1/16", "1/8", "1/4", "1/2"]


def test_points_without_a_common_fraction_have_no_label() -> None:
    point = replace(make_point(0, 0.5), width=None)

    assert choose_labelled([point], make_frame(make_curve(), {}, None), point, gap=GAP) == []


def test_words_stand_to_the_right_where_they_fit_else_where_they_hide_least() -> None:
    words = "x" * 50

    assert place_words(0.2, words) == (pytest.approx(0.21), "left")
    assert place_words(0.6, words) == (pytest.approx(0.99), "right")
    assert place_words(0.9, words) == (pytest.approx(0.89), "right")


@given(values=scores, error=st.floats(0, 1e5))
def test_bands_lie_within_the_frame(values: list[float], error: float) -> None:
    curve = make_errors(make_curve(*values, name="loss"), error)
    frame = make_frame(curve, {}, None)

    for point in curve:
        for end in band_of(point, "loss"):
            _, y = frame.place(frame.cost_of(point), end)
            assert 0 < y < 1


def test_a_latency_of_nothing_has_a_place() -> None:
    point = replace(make_point(0, 0.5), latency_ms=0.0)
    frame = make_frame(Curve(points=(point,)), {}, None, "latency_ms")

    assert frame.place_point(point) == pytest.approx((0.5, 0.5))
