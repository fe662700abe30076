"""Where things stand in a picture of curves: ranges, ticks, and which points have room for a word."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, final

from widthwise._shared import CurveError
from widthwise.curves import Cost, Curve, Point, cost_of, half_band
from widthwise.report.words import is_share, width_words

__all__ = ["Frame", "band_of", "choose_labelled", "linear_ticks", "log_ticks", "make_frame", "place_words"]

# Free space around the points, as a share of the range.
_MARGIN_X, _MARGIN_Y = 0.06, 0.09

# Milliseconds below which no clock tells one time from another.
_LEAST = 1e-6

# Widths of a bold letter, and of the space beside a line, as a share of the picture's.
_LETTER, _GAP = 0.0105, 0.01


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Frame:
    """The ranges of a picture: a cost along a logarithmic x axis, scores along y.

    Attributes:
        x_range: Costs at the left and right edge.
        y_range: Scores at the lower and upper edge.
        x_ticks: Costs to mark.
        y_ticks: Scores to mark.
        as_share: Whether scores are written in percent.
        cost: What counts as cost.
    """

    x_range: tuple[float, float]
    y_range: tuple[float, float]
    x_ticks: tuple[float, ...]
    y_ticks: tuple[float, ...]
    as_share: bool
    cost: Cost = "params"

    def cost_of(self, point: Point) -> float:
        """Return what a point costs, more than nothing, since the axis is logarithmic."""
        return max(cost_of(point, self.cost), _LEAST if self.cost == "latency_ms" else 1)

    def place(self, cost: float, score: float) -> tuple[float, float]:
        """Return where that is, from (0, 0) in the lower left corner to (1, 1) in the upper right one."""
        left, right = (math.log(edge) for edge in self.x_range)
        low, high = self.y_range
        return (math.log(cost) - left) / (right - left), (score - low) / (high - low)

    def place_point(self, point: Point) -> tuple[float, float]:
        """Return where a point is, as `place` does."""
        return self.place(self.cost_of(point), point.score)


def make_frame(curve: Curve, others: Mapping[str, Curve], point: Point | None, cost: Cost = "params") -> Frame:
    """Return the frame that holds all the curves with their bands, and the point.

    Raises:
        CurveError: Where the curves are of different scores, or a point does not know that cost.
    """
    curves = [curve, *others.values()]
    for name, other in others.items():
        if (other.name, other.higher_is_better) != (curve.name, curve.higher_is_better):
            raise CurveError(
                f"expected curves of one score in a picture, got {curve.name} and, in {name}, {other.name}; "
                "draw them one by one"
            )
    named = [(each.name, found) for each in curves for found in each.points]
    named += [] if point is None else [(curve.name, point)]
    ends = [end for name, found in named for end in band_of(found, name)]
    plain = Frame(x_range=(1, 2), y_range=(0, 1), x_ticks=(), y_ticks=(), as_share=is_share(curves), cost=cost)
    costs = [plain.cost_of(found) for _, found in named]
    x_range, y_range = _widen_log(min(costs), max(costs)), _widen(min(ends), max(ends))
    return replace(plain, x_range=x_range, y_range=y_range, x_ticks=log_ticks(*x_range), y_ticks=linear_ticks(*y_range))


def band_of(point: Point, name: str) -> tuple[float, float]:
    """Return the ends of the band of 95 % confidence around a score, both the score itself where no error is known.

    Args:
        point: Whose score.
        name: Its name.
    """
    half = half_band(point.errors.get(name))
    return point.score - half, point.score + half


def log_ticks(low: float, high: float) -> tuple[float, ...]:
    """Return at most eight round numbers in [low, high], evenly apart on a logarithmic axis.

    Example:
        >>> log_ticks(300, 30_000)
        (500.0, 1000.0, 2000.0, 5000.0, 10000.0, 20000.0)
    """
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for leads in ((1, 2, 5), (1, 3), (1,)):
        ticks = [lead * 10.0**exponent for exponent in exponents for lead in leads]
        inside = tuple(tick for tick in ticks if low <= tick <= high)
        if len(inside) <= 8:
            # A range within one decade may hold too few of them.
            return inside if len(inside) > 1 else linear_ticks(low, high)
    return inside[:: math.ceil(len(inside) / 8)]


def linear_ticks(low: float, high: float) -> tuple[float, ...]:
    """Return between three and seven round numbers in [low, high], evenly apart.

    Example:
        >>> linear_ticks(0.37, 0.99)
        (0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
    """
    span = high - low
    power = 10.0 ** math.floor(math.log10(span))
    step = next(lead * power for lead in (0.2, 0.25, 0.5, 1.0, 2.0) if span / (lead * power) < 7)
    first = math.ceil(low / step - 1e-9)
    # Multiples of the step, written in as many digits as it has, are free of rounding such as 0.6000000000000001.
    ticks = (round(index * step, 12 - math.floor(math.log10(step))) for index in range(first, first + 9))
    return tuple(tick for tick in ticks if tick <= high + 1e-9 * span)


def choose_labelled(
    points: Sequence[Point], frame: Frame, point: Point | None, *, gap: tuple[float, float]
) -> list[Point]:
    """Return the points whose width has room beside the marker, the picked one and whole fractions first.

    Args:
        points: Those of one curve.
        frame: Where they stand.
        point: The picked one.
        gap: Width and height of a word, as shares of the picture.
    """

    def rank(found: Point) -> tuple[bool, bool, bool]:
        return found != point, found.width != 1.0, not width_words(found).startswith("1/")

    chosen: list[Point] = []
    for found in sorted((each for each in points if width_words(each)), key=rank):
        x, y = frame.place_point(found)
        places = (frame.place_point(other) for other in chosen)
        if all(abs(x - other_x) >= gap[0] or abs(y - other_y) >= gap[1] for other_x, other_y in places):
            chosen.append(found)
    return chosen


def place_words(x: float, words: str) -> tuple[float, Literal["left", "right"]]:
    """Return where words about something at `x` stand, and which of their ends stands there; x is from 0 to 1.

    To the right of it where they fit; else to the left of it where that is far from the left edge, where the narrow
    networks are; else at the right edge.
    """
    if x + _GAP + _LETTER * len(words) <= 1:
        return x + _GAP, "left"
    return (x - _GAP, "right") if x >= 0.7 else (1 - _GAP, "right")


def _widen_log(low: float, high: float) -> tuple[float, float]:
    # A single point stands in the middle of a factor of four.
    margin = (high / low) ** _MARGIN_X if high > low else 2.0
    return low / margin, high * margin


def _widen(low: float, high: float) -> tuple[float, float]:
    margin = _MARGIN_Y * (high - low) if high > low else 0.05 * abs(high) or 0.5
    return low - margin, high + margin
