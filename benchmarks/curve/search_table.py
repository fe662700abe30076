"""The table of the search: test accuracy under each budget, and what the common fraction needs for as much."""

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import cast

from benchmarks.markdown import MISSING, draw_table
from benchmarks.record import Record

__all__ = ["draw_search", "find_answer", "macs_for"]

# What was aimed at before anything was measured.
SAVED_GOAL, SECONDS_GOAL = 0.2, 3.0

Point = Mapping[str, object]


def draw_search(record: Record) -> str:
    """Return a row for each sharing, budget and method, then whether the goals were met."""
    header = ["trained, budget of MACs", "method", "test accuracy, %", "MACs saved, %", "networks tried", "curve = 1"]
    rows: list[list[str]] = []
    saved: list[float] = []
    for sharing in dict.fromkeys(str(cell.key["sharing"]) for cell in record.cells):
        drawn = _results(record, sharing, "common")
        for place, budget in enumerate(_budgets(record)):
            for method in ("common", "greedy", "evolution"):
                found = _results(record, sharing, method)
                pairs = list(zip(found, drawn, strict=False))
                if not pairs:
                    continue
                gains = [_saved(one, common, place) for one, common in pairs] if method != "common" else []
                saved += gains if method == "greedy" else []
                tests = [100 * _test(one, place) for one, _ in pairs]
                ratios = [_seconds(one) / _seconds(common) for one, common in pairs]
                tried = [cast("int", one["num_tried"]) for one, _ in pairs]
                rows.append(
                    [
                        f"{sharing}, 1/{budget}",
                        method,
                        f"{statistics.fmean(tests):.2f}",
                        f"{100 * statistics.fmean(gains):.0f}" if gains else MISSING,
                        f"{statistics.fmean(tried):.0f}",
                        f"{statistics.fmean(ratios):.1f}",
                    ]
                )
    return "\n\n".join([draw_table(header, rows, num_words=2), *_judge(record, saved)])


def find_answer(points: Sequence[Point], budget: int) -> Point:
    """Return the point that a person would take under a budget of MACs: the best on the validation split."""
    fitting = [point for point in points if cast("int", point["macs"]) <= budget]
    return max(fitting, key=lambda point: (cast("float", point["validation"]), -cast("int", point["params"])))


def macs_for(points: Sequence[Point], test: float) -> float:
    """Return the fewest MACs at which a curve reaches a test score, interpolated over their logarithm.

    Where no width reaches it, those of the full network, which are too few: what is saved is then more than is told.
    """
    ordered = sorted((cast("int", point["macs"]), cast("float", point["test"])) for point in points)
    before: tuple[int, float] | None = None
    for macs, score in ordered:
        if score >= test:
            if before is None:
                return float(macs)
            share = (test - before[1]) / (score - before[1])
            return math.exp(math.log(before[0]) + share * (math.log(macs) - math.log(before[0])))
        before = (macs, score)
    return float(ordered[-1][0])


def _saved(found: Mapping[str, object], drawn: Mapping[str, object], place: int) -> float:
    answer = find_answer(_points(found), cast("Sequence[int]", found["budgets"])[place])
    return 1 - cast("int", answer["macs"]) / macs_for(_points(drawn), cast("float", answer["test"]))


def _test(found: Mapping[str, object], place: int) -> float:
    answer = find_answer(_points(found), cast("Sequence[int]", found["budgets"])[place])
    return cast("float", answer["test"])


def _judge(record: Record, saved: Sequence[float]) -> list[str]:
    if not saved:
        return []
    slow = [
        _seconds(one) / _seconds(common)
        for sharing in dict.fromkeys(str(cell.key["sharing"]) for cell in record.cells)
        for one, common in zip(_results(record, sharing, "greedy"), _results(record, sharing, "common"), strict=False)
    ]
    met = sum(each >= SAVED_GOAL for each in saved)
    return [
        (
            f"Goal of greedy: {100 * SAVED_GOAL:.0f} % of the MACs saved at equal score, met in {met} of {len(saved)}; "
            f"at most {SECONDS_GOAL:g} times the seconds of the curve, met in "
            f"{sum(each <= SECONDS_GOAL for each in slow)} of {len(slow)}."
        )
    ]


def _results(record: Record, sharing: str, method: str) -> list[Mapping[str, object]]:
    cells = [cell for cell in record.cells if (cell.key["sharing"], cell.key["method"]) == (sharing, method)]
    return [cell.result for cell in sorted(cells, key=lambda cell: cast("int", cell.key["seed"]))]


def _budgets(record: Record) -> list[int]:
    first = record.cells[0].result
    return [round(cast("int", first["full_macs"]) / macs) for macs in cast("Sequence[int]", first["budgets"])]


def _points(found: Mapping[str, object]) -> Sequence[Point]:
    return cast("Sequence[Point]", found["points"])


def _seconds(found: Mapping[str, object]) -> float:
    return cast("float", found["seconds"])
