"""The table of what it takes to run at a width, against the network extracted there."""

import statistics
from collections.abc import Mapping
from typing import cast

from benchmarks.markdown import draw_table
from benchmarks.record import Cell, Record

__all__ = ["draw_switching"]

GOAL_MS = 1.0


def draw_switching(record: Record) -> str:
    """Return a row for each network, law and width, medians over the seeds, then where the goal is missed."""
    names = cast("Mapping[str, str]", record.settings["networks"])
    header = ["network", "law", "width", "extracted, ms", "at the width, ms", "cost, ms", "first run, ms"]
    rows: list[list[str]] = []
    missed: list[str] = []
    groups: dict[tuple[str, str, float], list[Cell]] = {}
    for cell in record.cells:
        key = (str(cell.key["network"]), str(cell.key["law"]), cast("float", cell.key["width"]))
        groups.setdefault(key, []).append(cell)
    for (name, law, width), cells in groups.items():
        costs = [cast("float", cell.result["cost_ms"]) for cell in cells]
        rows.append(
            [
                names[name],
                law,
                f"{width:g}",
                *(f"{_median_of(cells, what):.2f}" for what in ("extracted", "at")),
                f"{statistics.median(costs):.2f} ({min(costs):.2f} to {max(costs):.2f})",
                f"{statistics.median(cast('float', cell.result['first_ms']) for cell in cells):.1f}",
            ]
        )
        if statistics.median(costs) > GOAL_MS:
            missed.append(f"{names[name]}, {law}, width {width:g}: {statistics.median(costs):.2f}")
    verdict = f"Missed by: {'; '.join(missed)}." if missed else "Met everywhere."
    return f"{draw_table(header, rows)}\n\nGoal: at most {GOAL_MS:g} ms. {verdict}"


def _median_of(cells: list[Cell], what: str) -> float:
    return statistics.median(cast("Mapping[str, float]", cell.result[what])["median_ms"] for cell in cells)
