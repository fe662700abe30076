"""The table of every law beside every other."""

import statistics
from collections.abc import Mapping
from typing import cast

from benchmarks.markdown import MISSING, draw_table
from benchmarks.record import Cell, Record

__all__ = ["brief_peers", "draw_peers"]

# Points of accuracy lost on average over the grid of widths, and at most at one of them.
MEAN_GOAL, MOST_GOAL = 0.5, 2.0


def draw_peers(record: Record) -> str:
    """Return the accuracy of each law at each width, what it loses against training alone, and what it cost."""
    widths = [str(width) for width in cast("list[float]", record.settings["widths"])]
    alone = _find_alone(record)
    header = [
        "law", "widths", "epochs", *[_name(width) for width in widths],
        "mean lost", "most lost", "mean of all widths", "largest fall", "MACs",
    ]  # fmt: skip
    rows = [["alone, one per width", "", _epochs(record), *(_show(alone.get(width)) for width in widths), *[""] * 5]]
    laws = [cell for cell in record.cells if cell.key["row"] != "alone"]
    for budget in ("equal MACs", "equal epochs"):
        rows += [_draw_law(cell, widths, alone) for cell in laws if cell.key["budget"] == budget]
    return "\n\n".join([draw_table(header, rows, num_words=3), _judge(laws, alone)])


def brief_peers(record: Record) -> str:
    """Return what each law loses at equal MACs from 1/32 on."""
    alone = _find_alone(record)
    cells = [
        cell
        for cell in record.cells
        if cell.key.get("budget") == "equal MACs" and cell.key.get("range") == "to 1/32" and _losses(cell, alone)
    ]
    body = [
        [str(cell.key["row"]), f"{statistics.fmean(found):.2f}", f"{max(found):.2f}"]
        for cell in cells
        for found in [_losses(cell, alone)]
    ]
    return draw_table(["law, at the price of one training", "mean points lost", "most"], body)


def _draw_law(cell: Cell, widths: list[str], alone: Mapping[str, float]) -> list[str]:
    result = cell.result
    accuracy = cast("Mapping[str, float]", result["accuracy"])
    lost = _losses(cell, alone)
    return [
        str(cell.key["row"]),
        str(cell.key["range"]),
        f"{result['epochs']}",
        *(_show(accuracy.get(width)) for width in widths),
        f"{statistics.fmean(lost):.2f}" if lost else MISSING,
        f"{max(lost):.2f}" if lost else MISSING,
        f"{result['mean_of_all']:.2f}",
        f"{result['largest_fall']:.2f}",
        f"{result['training_macs']:.2f}",
    ]


def _find_alone(record: Record) -> dict[str, float]:
    found: dict[str, list[float]] = {}
    for cell in record.cells:
        if cell.key["row"] == "alone":
            for width, value in cast("Mapping[str, float]", cell.result["accuracy"]).items():
                found.setdefault(width, []).append(value)
    return {width: statistics.fmean(values) for width, values in found.items()}


def _losses(cell: Cell, alone: Mapping[str, float]) -> list[float]:
    accuracy = cast("Mapping[str, float]", cell.result["accuracy"])
    return [alone[width] - value for width, value in accuracy.items() if width in alone]


def _judge(laws: list[Cell], alone: Mapping[str, float]) -> str:
    cells = [cell for cell in laws if cell.key["budget"] == "equal MACs" and _losses(cell, alone)]
    goal = f"Goal: at most {MEAN_GOAL} points lost on average, and {MOST_GOAL:g} at any width, at the price of one"
    met = [
        str(cell.key["row"])
        for cell in cells
        if statistics.fmean(lost := _losses(cell, alone)) <= MEAN_GOAL and max(lost) <= MOST_GOAL
    ]
    return f"{goal}. Met by: {', '.join(met)}." if met else f"{goal}. Met by none."


def _epochs(record: Record) -> str:
    return str(record.settings["epochs"])


def _name(width: str) -> str:
    inverse = round(1 / float(width))
    return "1" if inverse == 1 else f"1/{inverse}"


def _show(value: float | None) -> str:
    return MISSING if value is None else f"{value:.2f}"
