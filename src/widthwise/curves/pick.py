"""The decision: which point of a curve to take under limits on cost and quality. Stored numbers decide it."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from decimal import ROUND_CEILING, ROUND_FLOOR, Context
from typing import final

from widthwise._shared import CurveError, NoPointError
from widthwise.curves.point import Point

__all__ = ["Limits", "choose_point", "find_nearest"]

# 0.97 - 0.96 is 0.01 and 9e-18 more: a drop may exceed its limit by this share of the full score, which is far below
# any sample's worth.
_ROUNDING = 1e-9


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What a point must keep to. None is no limit; at least one must be set.

    Attributes:
        max_params: Most parameters.
        max_macs: Most multiply-accumulate operations per sample.
        max_bytes: Largest .safetensors file, as `export` writes it.
        max_latency_ms: Longest median time of one pass, batch 1 and one thread.
        max_memory: Most bytes that the values of one pass take at a time, batch 1, weights left out.
        min_score: Worst score: the least where higher is better, else the greatest.
        max_drop: Most that the score may be worse than at full width, in the score's own unit; "1%" is relative to the
            score there.

    Raises:
        CurveError: Where nothing is set, or a limit is no number of its kind.
    """

    max_params: int | None = None
    max_macs: int | None = None
    max_bytes: int | None = None
    max_latency_ms: float | None = None
    max_memory: int | None = None
    min_score: float | None = None
    max_drop: float | str | None = None

    def __post_init__(self) -> None:
        """Refuse limits that no point could be compared with."""
        names = [entry.name for entry in fields(self)]
        if all(getattr(self, name) is None for name in names):
            raise CurveError(f"expected at least one limit to pick a point by, got none; set one of {', '.join(names)}")
        for name in ("max_params", "max_macs", "max_bytes", "max_latency_ms", "max_memory"):
            limit = getattr(self, name)
            if limit is not None and not (_is_number(limit) and limit > 0):
                raise CurveError(f"expected {name} to be a positive number, got {limit!r}; give such a number")
        if self.min_score is not None and not _is_number(self.min_score):
            raise CurveError(f"expected min_score to be a finite number, got {self.min_score!r}; give such a number")
        if self.max_drop is not None:
            parse_drop(self.max_drop)


def choose_point(points: Sequence[Point], limits: Limits, *, higher_is_better: bool) -> Point:
    """Return the point to take under the limits.

    With a limit on cost it is the best score among the points that keep to all limits; with limits on quality alone it
    is the fewest parameters among them. Between equals, fewer parameters decide, then fewer MACs, then the better
    score.

    Args:
        points: At least one; with `max_drop` the one of width 1.0 among them.
        limits: What to keep to.
        higher_is_better: Which way scores go.

    Raises:
        NoPointError: Where no point keeps to the limits. It names the nearest one: the least excess, relative to each
            limit.
        CurveError: Where the curve lacks what a limit speaks of: a latency, or the full width.
    """
    rules = _make_rules(points, limits, higher_is_better)
    admissible = [point for point in points if all(rule.excess(point) <= 0 for rule in rules)]
    if not admissible:
        raise NoPointError(_describe_nearest(points, rules))
    sign = -1.0 if higher_is_better else 1.0

    def cost(point: Point) -> tuple[float, float, float]:
        return point.params, point.macs, sign * point.score

    if any(rule.is_cost for rule in rules):
        return min(admissible, key=lambda point: (sign * point.score, *cost(point)))
    return min(admissible, key=cost)


def find_nearest(points: Sequence[Point], limits: Limits, *, higher_is_better: bool) -> Point:
    """Return the point with the least excess over the limits, each relative to its limit; arguments as above."""
    return _find_nearest(points, _make_rules(points, limits, higher_is_better))


def parse_drop(drop: object) -> tuple[float, bool]:
    """Return the number in a `max_drop`, and whether it is relative; "1%" gives (0.01, True).

    Raises:
        CurveError: Where it is neither a number of at least 0 nor such a number with a percent sign.
    """
    number: object = drop
    is_relative = isinstance(drop, str)
    if isinstance(drop, str):
        text = drop.strip()
        try:
            number = float(text.removesuffix("%")) / 100 if text.endswith("%") else None
        except ValueError:
            number = None
    if isinstance(number, int | float) and _is_number(number) and number >= 0:
        return float(number), is_relative
    raise CurveError(
        "expected max_drop to be a number of at least 0 in the unit of the score, "
        f'or a percentage such as "1%", got {drop!r}; give one of the two'
    )


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class _Rule:
    """One limit, ready to be compared with points."""

    limit: str  # its name
    demand: str  # in words
    is_cost: bool
    excess: Callable[[Point], float]  # at most 0 where the point keeps to the limit
    scale: float  # what an excess is relative to
    has: Callable[[Point], str]  # what the point has, in words
    ask: Callable[[Point], str]  # the limit that this point would keep to
    hint: str = ""  # what else to say where no point keeps to the limit


def _make_rules(points: Sequence[Point], limits: Limits, higher_is_better: bool) -> list[_Rule]:
    rules: list[_Rule] = []
    if limits.max_params is not None:
        rules.append(_count_rule("max_params", "parameters", limits.max_params, lambda point: point.params))
    if limits.max_macs is not None:
        rules.append(_count_rule("max_macs", "MACs", limits.max_macs, lambda point: point.macs))
    if limits.max_bytes is not None:
        rules.append(_count_rule("max_bytes", "bytes", limits.max_bytes, lambda point: point.bytes))
    if limits.max_latency_ms is not None:
        rules.append(_latency_rule(points, limits.max_latency_ms))
    if limits.max_memory is not None:
        rules.append(_memory_rule(points, limits.max_memory))
    if limits.min_score is not None:
        rules.append(_score_rule(points, limits.min_score, higher_is_better))
    if limits.max_drop is not None:
        rules.append(_drop_rule(points, limits.max_drop, higher_is_better))
    return rules


def _count_rule(limit: str, unit: str, most: float, count: Callable[[Point], int]) -> _Rule:
    return _Rule(
        limit=limit,
        demand=f"at most {most:,} {unit}",
        is_cost=True,
        excess=lambda point: count(point) - most,
        scale=most,
        has=lambda point: f"{count(point):,} {unit}",
        ask=lambda point: f"{count(point)}",
    )


def _latency_rule(points: Sequence[Point], most: float) -> _Rule:
    def latency(point: Point) -> float:
        if point.latency_ms is None:
            raise CurveError(
                f"expected a curve with latencies for max_latency_ms, got none at width {point.label}; "
                "measure the curve again with latency=True"
            )
        return point.latency_ms

    for point in points:
        latency(point)
    return _Rule(
        limit="max_latency_ms",
        demand=f"at most {most:g} ms",
        is_cost=True,
        excess=lambda point: latency(point) - most,
        scale=most,
        has=lambda point: f"{_rounded(latency(point), up=True)} ms",
        ask=lambda point: _rounded(latency(point), up=True),
    )


def _memory_rule(points: Sequence[Point], most: int) -> _Rule:
    def memory(point: Point) -> int:
        if point.memory_bytes is None:
            raise CurveError(
                f"expected a curve with memory for max_memory, got none at width {point.label}; "
                "measure the curve again, which adds it without scoring anything"
            )
        return point.memory_bytes

    for point in points:
        memory(point)
    return _count_rule("max_memory", "bytes of activations", most, memory)


def _score_rule(points: Sequence[Point], bound: float, higher_is_better: bool) -> _Rule:
    sign = 1.0 if higher_is_better else -1.0
    is_percent = higher_is_better and 1 < bound <= 100 and all(0 <= point.score <= 1 for point in points)
    return _Rule(
        limit="min_score",
        demand=f"a score of {'at least' if higher_is_better else 'at most'} {bound:g}",
        is_cost=False,
        excess=lambda point: sign * (bound - point.score),
        scale=abs(bound) or 1.0,
        has=lambda point: f"score {_rounded(point.score, up=not higher_is_better)}",
        ask=lambda point: _rounded(point.score, up=not higher_is_better),
        hint=f"; the scores here lie between 0 and 1: {bound:g} % is {bound / 100:g}" if is_percent else "",
    )


def _drop_rule(points: Sequence[Point], drop: float | str, higher_is_better: bool) -> _Rule:
    full = next((point for point in points if point.width == 1.0), None)
    if full is None:
        raise CurveError(
            "expected a curve with the full width for max_drop, got none; measure it again with 1.0 among the widths"
        )
    reference = full.score
    number, is_relative = parse_drop(drop)
    unit = abs(reference) if is_relative else 1.0
    sign = 1.0 if higher_is_better else -1.0

    def loss(point: Point) -> float:
        return sign * (reference - point.score)

    def words(point: Point) -> str:
        # A score of 0 at full width leaves nothing for a percentage to be of.
        if is_relative and unit > 0:
            return f"{_rounded(100 * max(loss(point), 0.0) / unit, up=True)}%"
        return _rounded(max(loss(point), 0.0), up=True)

    return _Rule(
        limit="max_drop",
        demand=f"a drop of at most {drop.strip() if isinstance(drop, str) else f'{drop:g}'}",
        is_cost=False,
        excess=lambda point: loss(point) - number * unit - _ROUNDING * abs(reference),
        scale=max(number * unit, _ROUNDING * abs(reference)) or 1.0,
        has=lambda point: f"a drop of {words(point)}",
        ask=lambda point: f'"{words(point)}"' if is_relative and unit > 0 else words(point),
    )


def _find_nearest(points: Sequence[Point], rules: Sequence[_Rule]) -> Point:
    return min(
        points, key=lambda point: (sum(max(rule.excess(point), 0.0) / rule.scale for rule in rules), point.params)
    )


def _describe_nearest(points: Sequence[Point], rules: Sequence[_Rule]) -> str:
    nearest = _find_nearest(points, rules)
    broken = [rule for rule in rules if rule.excess(nearest) > 0]
    found = ", ".join(rule.has(nearest) for rule in broken)
    if not any(rule.limit == "min_score" for rule in broken):
        found += f" (score {nearest.score:.4g})"
    asked = " and ".join(f"{rule.limit}={rule.ask(nearest)}" for rule in broken)
    remedy = "train with a smaller `lowest`" if all(rule.is_cost for rule in broken) else "train longer"
    demands = " and ".join(rule.demand for rule in rules)
    hint = "".join(rule.hint for rule in broken)
    return (
        f"no point has {demands}; the nearest is width {nearest.label} with {found}; ask for {asked} or {remedy}{hint}"
    )


def _rounded(value: float, *, up: bool) -> str:
    """Return four significant digits, rounded so that a limit of that number lets `value` pass."""
    context = Context(prec=4, rounding=ROUND_CEILING if up else ROUND_FLOOR)
    # repr is the shortest decimal that reads back as this float, so 0.41 stays 0.41; rounding it is monotone, so the
    # limit holds.
    return f"{context.create_decimal(repr(float(value))).normalize(context):f}"


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
