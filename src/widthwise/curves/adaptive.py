"""Which widths to measure next: octaves first, then where the curve bends most.

Between two measured widths a straight line in the logarithm of the width is drawn, and read. How far the curve may be
from it in the middle is told by the second differences of its neighbours, f''h^2/8, as in the composite trapezoidal
rule; where that is within the tolerance, or within the standard error of the scores, nothing more is learnt there.
Each round depends on the points alone, so that a sweep that was interrupted goes the same way again.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import final

from widthwise._shared import CurveError
from widthwise.curves.grid import Candidate, HasWidths, make_candidates, octaves
from widthwise.curves.point import Point

__all__ = ["MAX_POINTS", "Refinement"]

MAX_POINTS = 16
"""The most points, unless a caller says otherwise."""

# Two ends and a middle: with fewer there is no bend to speak of.
_FEWEST = 3

# Of the range of all scores: finer than what can be read from a picture.
_SHARE = 0.01


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Refinement:
    """Chooses widths round by round.

    Attributes:
        tolerance: How far the score may be from a straight line between two points; None takes a hundredth of the
            range of the scores measured.
        max_points: How many points there may be.

    Raises:
        CurveError: Where one of them makes no sense.
    """

    tolerance: float | None = None
    max_points: int = MAX_POINTS

    def __post_init__(self) -> None:
        """Refuse what no sweep could follow."""
        number = self.max_points
        if not isinstance(number, int) or isinstance(number, bool) or number < _FEWEST:
            raise CurveError(
                f"expected max_points to be an integer of at least {_FEWEST}, got {number!r}; give such a number"
            )
        tolerance = self.tolerance
        if tolerance is not None and not (math.isfinite(tolerance) and tolerance > 0):
            raise CurveError(
                f"expected tolerance to be a positive number in the unit of the score, got {tolerance!r}; "
                "give such a number, or None for a hundredth of the range"
            )

    def first_round(self, model: HasWidths, lowest: float) -> list[Candidate]:
        """Return the octaves down to the smallest width trained, or as many steps as there may be points.

        Args:
            model: What is measured.
            lowest: The smallest fraction that was trained.
        """
        fractions = octaves(lowest)
        if len(fractions) > self.max_points:
            last = self.max_points - 1
            fractions = [lowest ** (step / last) for step in range(last)] + [lowest]
        return make_candidates(model, fractions)

    def next_round(self, model: HasWidths, points: Sequence[Point], name: str) -> list[Candidate]:
        """Return the widths to measure after these points; none where it is enough.

        Of all intervals over the tolerance, those are split that are at least half as uncertain as the worst one.

        Args:
            model: What is measured.
            points: What all rounds before gave.
            name: Of the score that they are chosen by.
        """
        ordered = sorted((point for point in points if point.width is not None), key=_fraction)
        scores = [point.score for point in ordered]
        tolerance = _SHARE * (max(scores) - min(scores)) if self.tolerance is None else self.tolerance
        found: list[tuple[float, Candidate]] = []
        for (left, right), distance in zip(pairwise(ordered), _distances(ordered), strict=True):
            if distance > max(tolerance, _noise(left, name), _noise(right, name)):
                middle = _split(model, left, right)
                if middle is not None:
                    found.append((distance, middle))
        worst = max((distance for distance, _ in found), default=0.0)
        chosen = [each for each in found if each[0] >= worst / 2]
        # The worst first, and of equals the widest.
        chosen.sort(key=lambda each: (-each[0], -(each[1].width or 0.0)))
        return [candidate for _, candidate in chosen][: max(0, self.max_points - len(ordered))]


def _distances(points: Sequence[Point]) -> list[float]:
    """Return for each interval how far the curve may be from a straight line in its middle."""
    places = [(math.log2(_fraction(point)), point.score) for point in points]
    slopes = [(right[1] - left[1]) / (right[0] - left[0]) for left, right in pairwise(places)]
    lengths = [right[0] - left[0] for left, right in pairwise(places)]
    if len(slopes) == 1:
        # Nothing tells the bend: a curve that only rises may be off by half of what it rises.
        return [abs(slopes[0]) * lengths[0] / 2]
    # Second derivatives at the inner points.
    bends = [
        2 * abs(after - before) / (one + other)
        for (before, after), (one, other) in zip(pairwise(slopes), pairwise(lengths), strict=True)
    ]
    return [
        max(bends[max(index - 1, 0) : index + 1]) * length**2 / 8
        for index, length in enumerate(lengths)
    ]  # fmt: skip


def _noise(point: Point, name: str) -> float:
    return point.drop_errors.get(name, point.errors.get(name, 0.0))


def _split(model: HasWidths, left: Point, right: Point) -> Candidate | None:
    """Return the network nearest to the middle of two, of the widths that the largest group can have; None for none."""
    size = max(model.widths(1.0).values())
    middle = math.sqrt(_fraction(left) * _fraction(right))
    inside = range(math.floor(_fraction(left) * size) + 1, math.ceil(_fraction(right) * size))
    for units in sorted(inside, key=lambda units: (abs(math.log2(units / size / middle)), units)):
        widths = model.widths(units / size)
        if not _are_same(widths, left.widths) and not _are_same(widths, right.widths):
            return Candidate(width=units / size, widths=widths)
    return None


def _are_same(one: Mapping[str, int], other: Mapping[str, int]) -> bool:
    return dict(one) == dict(other)


def _fraction(point: Point) -> float:
    assert point.width is not None, "adaptive widths are fractions"
    return point.width
