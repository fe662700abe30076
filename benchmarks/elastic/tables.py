"""The tables of the benchmarks of elastic training."""

import statistics
from collections.abc import Mapping, Sequence
from typing import cast

from benchmarks.markdown import MISSING, draw_table, find_results
from benchmarks.record import Record

__all__ = ["brief_mnist_mlp", "draw_mnist_mlp"]

# What was aimed at before anything was measured: points of accuracy lost against a network trained alone at that width.
REGRET_GOALS: Mapping[str, float] = {"256": 0.4, "128": 0.6, "64": 0.6, "32": 1.0, "16": 2.0, "8": 3.5}
ALONE, LONGER, OURS = "alone", "alone, as many epochs as ours", "ours"
REFITTED = "ours, output affine and refit"

_Accuracies = Mapping[str, Sequence[float]]


def draw_mnist_mlp(record: Record) -> str:
    """Return the accuracy of every row at every width, then what ours loses against training alone, and the goal."""
    widths = _widths(record)
    rows = {row: _accuracies(record, row) for row in _rows(record)}
    header = ["test accuracy, % at width", *widths, "training MACs"]
    accuracy = [
        [row, *(_mean(values.get(width, [])) for width in widths), _macs(record, row)] for row, values in rows.items()
    ]
    parts = [draw_table(header, accuracy)]
    regrets = {row: _regrets(rows.get(row, {}), rows.get(OURS, {})) for row in (ALONE, LONGER)}
    table = [
        [f"{row}, minus ours", *(f"{found[width]:+.2f}" if width in found else MISSING for width in widths)]
        for row, found in regrets.items()
    ]
    refitted = _regrets(rows.get(ALONE, {}), rows.get(REFITTED, {}))
    table.append(
        [
            f"{ALONE}, minus {REFITTED}",
            *(f"{refitted[width]:+.2f}" if width in refitted else MISSING for width in widths),
        ]
    )
    goals = ["goal for the first of these", *(f"{REGRET_GOALS[width]:.1f}" for width in widths)]
    parts.append(draw_table(["points lost at width", *widths], [*table, goals]))
    parts.append(_judge(regrets[ALONE], widths))
    rates = cast("Mapping[str, float]", record.settings["chosen_rates"])
    parts.append("Learning rates: " + ", ".join(f"{kind} {rate:g}" for kind, rate in rates.items()) + ".")
    return "\n\n".join(parts)


def brief_mnist_mlp(record: Record) -> str:
    """Return the accuracy of ours between that of its rivals."""
    widths = _widths(record)
    rows = [row for row in (ALONE, OURS, REFITTED, "paper", "plain, then cut") if row in _rows(record)]
    accuracies = [_accuracies(record, row) for row in rows]
    body = [
        [row, *(_mean(values.get(width, []), with_deviation=False) for width in widths)]
        for row, values in zip(rows, accuracies, strict=True)
    ]
    return draw_table(["MNIST test accuracy, % at width", *widths], body)


def _rows(record: Record) -> list[str]:
    return list(dict.fromkeys(str(cell.key["row"]) for cell in record.cells))


def _widths(record: Record) -> list[str]:
    return [str(width) for width in cast("Sequence[int]", record.settings["widths"])]


def _accuracies(record: Record, row: str) -> dict[str, list[float]]:
    """The accuracies of a row by width, one for each seed."""
    found: dict[str, list[float]] = {}
    for result in find_results(record, row=row):
        for width, accuracy in cast("Mapping[str, float]", result["accuracy"]).items():
            found.setdefault(width, []).append(accuracy)
    return found


def _macs(record: Record, row: str) -> str:
    cells = [cell for cell in record.cells if cell.key["row"] == row]
    costs = [cast("float", cell.result["training_macs"]) for cell in cells]
    if row not in (ALONE, LONGER):
        return f"{statistics.fmean(costs):.2f}"
    # One network for each width; each cost is in units of that network's own plain training.
    widths = [cast("int", cell.key["width"]) for cell in cells]
    if len(widths) < len(_widths(record)) * len(record.seeds):
        return MISSING
    full = _forward_macs(max(widths))
    total = sum(cost * _forward_macs(width) / full for cost, width in zip(costs, widths, strict=True))
    return f"{total / len(record.seeds):.2f} for all"


def _forward_macs(width: int) -> int:
    return 784 * width + width * width + 10 * width


def _regrets(alone: _Accuracies, ours: _Accuracies) -> dict[str, float]:
    return {
        width: statistics.fmean(alone[width]) - statistics.fmean(values)
        for width, values in ours.items()
        if width in alone
    }


def _mean(values: Sequence[float], *, with_deviation: bool = True) -> str:
    if not values:
        return MISSING
    mean = f"{statistics.fmean(values):.2f}"
    return f"{mean} ± {statistics.stdev(values):.2f}" if with_deviation and len(values) > 1 else mean


def _judge(regrets: Mapping[str, float], widths: Sequence[str]) -> str:
    if not all(width in regrets for width in widths):
        return "Not all widths have been measured yet."
    missed = [f"{width} ({regrets[width]:+.2f})" for width in widths if regrets[width] > REGRET_GOALS[width]]
    return f"Goal missed at width {', '.join(missed)}." if missed else "Goal met at every width."
