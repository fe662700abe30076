"""Points to choose from, and the choice in one line."""

from collections.abc import Sequence

import pytest

from widthwise._shared import NoPointError
from widthwise.curves import Limits, Point
from widthwise.curves.pick import choose_point

COSTS = {"max_params": "params", "max_macs": "macs", "max_bytes": "bytes", "max_latency_ms": "latency_ms"}


def make_point(width: float, score: float, params: int, **costs: float) -> Point:
    given_costs = {"macs": params * 2, "bytes": params * 4, "latency_ms": params / 1000, **costs}
    return Point(width=width, widths={"fc1": round(width * 2**20)}, score=score, params=params, **given_costs)


# Narrow to wide: 0.41, 0.80, 0.955, 0.97 of accuracy.
POINTS = [
    make_point(0.03125, 0.41, 2314),
    make_point(0.125, 0.8, 9000),
    make_point(0.5, 0.955, 60_000),
    make_point(1.0, 0.97, 200_000),
]


def choose(points: Sequence[Point] = POINTS, *, higher_is_better: bool = True, **limits: object) -> Point:
    return choose_point(points, Limits(**limits), higher_is_better=higher_is_better)  # pyright: ignore[reportArgumentType]


def message_of(points: Sequence[Point] = POINTS, *, higher_is_better: bool = True, **limits: object) -> str:
    with pytest.raises(NoPointError) as caught:
        choose(points, higher_is_better=higher_is_better, **limits)
    return str(caught.value)
