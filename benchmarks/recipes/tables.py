"""The table of what each recipe gives."""

from collections.abc import Mapping
from typing import cast

from benchmarks.markdown import draw_table
from benchmarks.record import Record

__all__ = ["brief_recipes", "draw_recipes"]


def draw_recipes(record: Record) -> str:
    """Return minutes and test accuracy of each recipe."""
    rows: list[list[str]] = []
    header = ["recipe", "minutes"]
    for cell in record.cells:
        accuracy = cast("Mapping[str, float]", cell.result["accuracy"])
        minutes = f"{cast('float', cell.result['minutes']):.1f}"
        rows.append([str(cell.key["recipe"]), minutes, *(f"{value:.2f}" for value in accuracy.values())])
        header = ["recipe", "minutes", *(f"width {float(width):g}" for width in accuracy)]
    return draw_table(header, rows)


def brief_recipes(record: Record) -> str:
    """Return the same table: it is short."""
    return draw_recipes(record)
