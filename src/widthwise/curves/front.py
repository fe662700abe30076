"""The Pareto front: the points of a curve that no other point beats."""

from collections.abc import Sequence

from widthwise.curves.cost import Cost, cost_of
from widthwise.curves.point import Point

__all__ = ["find_front"]


def find_front(points: Sequence[Point], cost: Cost, *, higher_is_better: bool) -> list[Point]:
    """Return the points for which there is no other of at most their cost and at least their score, one of them better.

    Points that are equal in both stay together. The order is that of `points`.

    Args:
        points: Any.
        cost: What counts as cost.
        higher_is_better: Which way scores go.

    Raises:
        CurveError: Where a point does not know that cost.
    """
    sign = -1.0 if higher_is_better else 1.0
    places = [(cost_of(point, cost), sign * point.score) for point in points]
    front: set[int] = set()
    best = float("inf")
    # From cheap to dear, and at one cost from good to bad: a point is beaten by those before it, or not at all.
    for index in sorted(range(len(points)), key=lambda index: places[index]):
        if places[index][1] < best or any(places[index] == places[other] for other in front):
            front.add(index)
            best = min(best, places[index][1])
    return [point for index, point in enumerate(points) if index in front]
