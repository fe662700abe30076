"""Adaptive widths on curves whose shape is known."""

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.curves.stand_in import make_stand_in
from widthwise._shared import CurveError
from widthwise.curves import Point
from widthwise.curves.adaptive import MAX_POINTS, Refinement
from widthwise.curves.grid import Candidate

SIZE = 1024


class Wide:
    """A model of one group of 1,024 units."""

    def widths(self, width: float, /) -> dict[str, int]:
        return {"fc": max(1, int(width * SIZE + 0.5))}


MODEL = Wide()
Shape = Callable[[float], float]


def measure(candidate: Candidate, shape: Shape, **extra: dict[str, float]) -> Point:
    units = candidate.widths["fc"]
    score = shape(units / SIZE)
    return Point(
        width=candidate.width, widths=candidate.widths, score=score, params=units, macs=units, bytes=units, **extra
    )


def sweep(shape: Shape, refinement: Refinement, lowest: float = 1 / 64, **extra: dict[str, float]) -> list[Point]:
    """All points in the order in which they are measured."""
    points: list[Point] = []
    candidates = refinement.first_round(MODEL, lowest)
    while candidates:
        points += [measure(candidate, shape, **extra) for candidate in candidates]
        candidates = refinement.next_round(MODEL, points, "score")
    return points


def knee(place: float) -> Shape:
    return lambda width: min(1.0, 1.0 + 0.3 * (math.log2(width) - math.log2(place)))


def test_a_straight_line_needs_the_octaves_alone() -> None:
    points = sweep(lambda width: 0.1 * math.log2(width), Refinement())
    assert [point.width for point in points] == [2.0**-step for step in range(7)]


def test_points_gather_where_a_curve_bends() -> None:
    points = sweep(knee(0.15), Refinement(max_points=14))
    added = [point.width for point in points[7:]]
    assert added
    assert all(0.0625 < (width or 0) < 0.5 for width in added)
    nearest = min(abs(math.log2((width or 1) / 0.15)) for width in added)
    assert nearest < 0.3


def interpolate(points: list[Point], width: float) -> float:
    ordered = sorted((point.width or 0.0, point.score) for point in points)
    right = next(index for index, (place, _) in enumerate(ordered) if place >= width)
    (a, low), (b, high) = ordered[max(right - 1, 0)], ordered[right]
    share = 0.0 if a == b else (math.log2(width) - math.log2(a)) / (math.log2(b) - math.log2(a))
    return low + share * (high - low)


def worst_error(points: list[Point], shape: Shape) -> float:
    widths = [units / SIZE for units in range(16, SIZE + 1)]
    return max(abs(interpolate(points, width) - shape(width)) for width in widths)


@pytest.mark.parametrize("place", [0.03, 0.1, 0.2, 0.4, 0.7])
def test_a_knee_is_drawn_better_than_by_as_many_even_steps(place: float) -> None:
    shape = knee(place)
    points = sweep(shape, Refinement(max_points=13))
    even = [2 ** (-6 * step / (len(points) - 1)) for step in range(len(points))]
    evenly = [measure(Candidate(width=width, widths=MODEL.widths(width)), shape) for width in even]
    assert worst_error(points, shape) < worst_error(evenly, shape)


def test_a_smooth_curve_is_within_the_tolerance() -> None:
    def shape(width: float) -> float:
        return 1 / (1 + math.exp(-1.5 * (math.log2(width) + 3)))

    tolerance = 0.005
    points = sweep(shape, Refinement(tolerance=tolerance, max_points=64))
    assert len(points) < 40
    # Bends are read from divided differences, which lag behind the second derivative by an interval.
    assert worst_error(points, shape) < 2 * tolerance


@settings(max_examples=25)
@given(
    values=st.lists(st.floats(-5, 5), min_size=7, max_size=7),
    lowest=st.floats(0.002, 0.9),
    most=st.integers(3, 20),
)
def test_every_width_is_real_and_measured_once_and_there_are_no_more_than_asked_for(
    values: list[float], lowest: float, most: int
) -> None:
    def shape(width: float) -> float:
        return values[round(width * 1000) % 7]

    points = sweep(shape, Refinement(max_points=most), lowest)
    units = [point.widths["fc"] for point in points]

    assert len(units) == len(set(units)) <= most
    assert all(point.widths == MODEL.widths(point.width or 0.0) for point in points)
    assert {MODEL.widths(lowest)["fc"], SIZE} <= set(units)
    assert points == sweep(shape, Refinement(max_points=most), lowest)


def test_where_the_score_is_noise_nothing_is_added() -> None:
    def shape(width: float) -> float:
        return 0.02 * (round(math.log2(width)) % 2)

    assert len(sweep(shape, Refinement())) > 7
    assert len(sweep(shape, Refinement(), errors={"score": 0.05})) == 7


def test_neighbours_with_no_width_between_them_are_left() -> None:
    model = make_stand_in(lowest=1 / 32)
    refinement = Refinement(tolerance=1e-9, max_points=200)
    points: list[Point] = []
    candidates = refinement.first_round(model, 1 / 32)
    while candidates:
        for candidate in candidates:
            units = candidate.widths["fc1"]
            score = (units * 7919 % 13) / 13
            points.append(Point(width=candidate.width, widths=candidate.widths, score=score, params=1, macs=1, bytes=1))
        candidates = refinement.next_round(model, points, "score")
    assert sorted(point.widths["fc1"] for point in points) == list(range(1, 33))


def test_points_of_unequal_groups_are_not_looked_at() -> None:
    points = sweep(knee(0.2), Refinement())
    other = replace(points[0], width=None, widths={"fc": 77}, score=99.0)
    refinement = Refinement(max_points=MAX_POINTS + 5)
    assert refinement.next_round(MODEL, [*points, other], "score") == refinement.next_round(MODEL, points, "score")


@pytest.mark.parametrize("most", [2, 0, 4.5, True, "10"])
def test_a_number_of_points_that_is_none_is_refused(most: int) -> None:
    with pytest.raises(CurveError) as caught:
        Refinement(max_points=most)
    assert str(caught.value) == (
        f"expected max_points to be an integer of at least 3, got {most!r}; give such a number"
    )


@pytest.mark.parametrize("tolerance", [0.0, -1.0, math.nan, math.inf])
def test_a_tolerance_that_is_none_is_refused(tolerance: float) -> None:
    with pytest.raises(CurveError) as caught:
        Refinement(tolerance=tolerance)
    assert str(caught.value) == (
        f"expected tolerance to be a positive number in the unit of the score, got {tolerance!r}; "
        "give such a number, or None for a hundredth of the range"
    )
