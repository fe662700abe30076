"""The table beside Torch-Pruning: scores at equal parameters."""

import statistics
from collections.abc import Mapping
from typing import cast

from benchmarks.markdown import MISSING, draw_table
from benchmarks.record import Cell, Record

__all__ = ["draw_pruned"]

Scores = Mapping[str, float]


def draw_pruned(record: Record) -> str:
    """Return the score of each way at each share of the parameters, as cut and after the extra epochs."""
    budgets = [str(budget) for budget in cast("list[float]", record.settings["budgets"])]
    extra = cast("int", record.settings["extra_epochs"])
    shares = [f"1/{round(1 / float(budget))}" for budget in budgets]
    header = [
        "way", *(f"{share}, cut" for share in shares), *(f"{share}, trained on" for share in shares),
        "extra epochs for all three",
    ]  # fmt: skip
    rows: list[list[str]] = []
    for row in dict.fromkeys(str(cell.key["row"]) for cell in record.cells):
        cells = [cell for cell in record.cells if cell.key["row"] == row]
        is_once = any("trained" in cell.result for cell in cells)
        cut, tuned = ([_mean(cells, stage, budget) for budget in budgets] for stage in ("cut", "tuned"))
        # Trained on before it is cut.
        stages = [MISSING] * len(budgets) + cut if is_once else cut + tuned
        rows.append([row, *stages, str(extra if is_once else extra * len(budgets))])
    trained = [cast("float", cell.result["trained"]) for cell in record.cells if "trained" in cell.result]
    full = f"The trained network: {_spread(trained)}." if trained else ""
    return "\n\n".join([draw_table(header, rows), full])


def _mean(cells: list[Cell], stage: str, budget: str) -> str:
    found = [
        cast("Scores", cell.result[stage])[budget]
        for cell in cells
        if budget in cast("Scores", cell.result.get(stage, {}))
    ]
    return _spread(found) if found else MISSING


def _spread(values: list[float]) -> str:
    mean = statistics.fmean(values)
    return f"{mean:.2f} ± {statistics.stdev(values):.2f}" if len(values) > 1 else f"{mean:.2f}"
