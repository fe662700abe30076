"""The table of every law beside every other."""

import statistics
from collections.abc import Mapping, Sequence
from typing import cast

from benchmarks.elastic.laws import ALONE, BUDGETS, DEFAULT, LONGER
from benchmarks.markdown import MISSING, draw_table
from benchmarks.record import Cell, Record

__all__ = ["brief_peers", "draw_peers", "losses_by_row"]

# Points of accuracy (percent of perplexity) lost on average over the grid of widths, and at most at one of them.
GOALS: Mapping[str, tuple[float, float]] = {"accuracy": (0.5, 2.0), "perplexity": (1.0, 4.0)}
_UNITS: Mapping[str, str] = {"accuracy": "points", "perplexity": "% of perplexity"}
_WORTH = 2.0
# Of one plain training, as the table rounds it.
_PRICE = 1.005
_ALONE = "alone, one per width"


def draw_peers(record: Record) -> str:
    """Return the score of each law at each width, what it loses against training alone, and what it cost."""
    widths = [str(width) for width in cast("list[float]", record.settings["widths"])]
    alone = _find_alone(record)
    header = [
        "law", "widths", "epochs", *[_name(width) for width in widths],
        "mean lost", "most lost", "mean of all widths", "largest fall", "MACs",
    ]  # fmt: skip
    alone_row = [_spread(alone[width]) if width in alone else MISSING for width in widths]
    rows = [[_ALONE, "", str(record.settings["epochs"]), *alone_row, *[""] * 5]]
    if longer := _find_alone(record, LONGER):
        epochs = next(str(cell.result["epochs"]) for cell in record.cells if cell.key["row"] == LONGER)
        scores = [_spread(longer[width]) if width in longer else MISSING for width in widths]
        rows.append([LONGER, "", epochs, *scores, *[""] * 5])
    rows += [_draw_law(record, cells, widths) for cells in _group(record).values()]
    return "\n\n".join([draw_table(header, rows, num_words=3), _judge(record), *_compare(record)])


def brief_peers(record: Record) -> str:
    """Return the score of each law at each width, at equal MACs from 1/32 on, and what it loses."""
    measure = str(record.settings["measure"])
    widths = [str(width) for width in cast("list[float]", record.settings["widths"])]
    alone = _find_alone(record)
    body = [[_ALONE, *(_brief(alone.get(width, [])) for width in widths), ""]]
    for (budget, row, each), cells in _group(record).items():
        lost = list(_losses(record, cells).values())
        if budget == "equal MACs" and each == "to 1/32":
            scores = [_brief([score[width] for score in _scores(cells)]) for width in widths]
            body.append([row, *scores, f"{statistics.fmean(lost):.2f}" if lost else MISSING])
    title = "perplexity" if measure == "perplexity" else "test accuracy, %"
    return draw_table([f"{title}, at width", *map(_name, widths), f"mean {_UNITS[measure]} lost"], body)


def losses_by_row(record: Record) -> dict[str, float]:
    """Return the mean loss of each law at equal MACs from 1/32 on."""
    return {row: statistics.fmean(lost.values()) for row, lost in _lost_by_row(record).items()}


def _group(record: Record) -> dict[tuple[str, str, str], list[Cell]]:
    """Return the cells of the same law, range and budget, one per seed, in the order of the budgets."""
    found: dict[tuple[str, str, str], list[Cell]] = {}
    for budget in BUDGETS:
        for cell in record.cells:
            if cell.key.get("budget") == budget:
                found.setdefault((budget, str(cell.key["row"]), str(cell.key["range"])), []).append(cell)
    return found


def _draw_law(record: Record, cells: Sequence[Cell], widths: list[str]) -> list[str]:
    lost = list(_losses(record, cells).values())
    return [
        str(cells[0].key["row"]),
        str(cells[0].key["range"]),
        str(cells[0].result["epochs"]),
        *(_spread([score[width] for score in _scores(cells)]) for width in widths),
        f"{statistics.fmean(lost):.2f}" if lost else MISSING,
        f"{max(lost):.2f}" if lost else MISSING,
        *(f"{_mean(cells, name):.2f}" for name in ("mean_of_all", "largest_fall", "training_macs")),
    ]


def _scores(cells: Sequence[Cell]) -> list[Mapping[str, float]]:
    return [cast("Mapping[str, float]", cell.result["score"]) for cell in cells]


def _mean(cells: Sequence[Cell], name: str) -> float:
    return statistics.fmean(cast("float", cell.result[name]) for cell in cells)


def _find_alone(record: Record, row: str = ALONE) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for score in _scores([cell for cell in record.cells if cell.key["row"] == row]):
        for width, value in score.items():
            found.setdefault(width, []).append(value)
    return found


def _losses(record: Record, cells: Sequence[Cell]) -> dict[str, float]:
    """Return by width what the mean over the seeds loses: points of accuracy, or percent of perplexity."""
    alone = {width: statistics.fmean(values) for width, values in _find_alone(record).items()}
    ours = {width: statistics.fmean(score[width] for score in _scores(cells)) for width in _scores(cells)[0]}
    if record.settings["measure"] == "perplexity":
        return {width: 100 * (value / alone[width] - 1) for width, value in ours.items() if width in alone}
    return {width: alone[width] - value for width, value in ours.items() if width in alone}


def _lost_by_row(record: Record) -> dict[str, dict[str, float]]:
    found = {
        row: _losses(record, cells)
        for (budget, row, each), cells in _group(record).items()
        if budget == "equal MACs" and each == "to 1/32"
    }
    return {row: lost for row, lost in found.items() if lost}


def _judge(record: Record) -> str:
    measure = str(record.settings["measure"])
    mean_goal, most_goal = GOALS[measure]
    by_row = _lost_by_row(record)
    if DEFAULT not in by_row:
        return f"Not finished: {DEFAULT} is not measured yet."
    costs = {
        row: _mean(cells, "training_macs")
        for (budget, row, each), cells in _group(record).items()
        if (budget, each) == ("equal MACs", "to 1/32")
    }
    met = [
        row
        for row, lost in by_row.items()
        if statistics.fmean(lost.values()) <= mean_goal and max(lost.values()) <= most_goal and costs[row] < _PRICE
    ]
    goal = (
        f"Goal: at most {mean_goal:g} {_UNITS[measure]} lost on average, and {most_goal:g} at any width, at the price "
        "of one"
    )
    return f"{goal}. Met by: {', '.join(met)}." if met else f"{goal}. Met by none."


def _compare(record: Record) -> list[str]:
    """Return where ours is behind another law by more than two standard errors, at equal MACs; of several seeds."""
    groups = {(row, each): cells for (budget, row, each), cells in _group(record).items() if budget == "equal MACs"}
    ours = groups.pop((DEFAULT, "to 1/32"), [])
    if len(ours) < 2:
        return []
    behind = [
        f"{row} ({each}) at {_name(width)}"
        for (row, each), cells in groups.items()
        for width in _scores(ours)[0]
        if _is_behind(record, [s[width] for s in _scores(ours)], [s[width] for s in _scores(cells)])
    ]
    words = (
        f"Ours is behind by more than two standard errors: {', '.join(behind)}."
        if behind
        else ("Ours is nowhere behind by more than two standard errors.")
    )
    return [words]


def _is_behind(record: Record, ours: Sequence[float], theirs: Sequence[float]) -> bool:
    if len(theirs) < 2:
        return False
    error = (statistics.variance(ours) / len(ours) + statistics.variance(theirs) / len(theirs)) ** 0.5
    ahead = statistics.fmean(theirs) - statistics.fmean(ours)
    return (-ahead if record.settings["measure"] == "perplexity" else ahead) > _WORTH * error


def _name(width: str) -> str:
    inverse = round(1 / float(width))
    return "1" if inverse == 1 else f"1/{inverse}"


def _brief(values: Sequence[float]) -> str:
    return f"{statistics.fmean(values):.2f}" if values else MISSING


def _spread(values: Sequence[float]) -> str:
    """Return the mean over the seeds, and their standard deviation where there are several."""
    mean = statistics.fmean(values)
    return f"{mean:.2f} ± {statistics.stdev(values):.2f}" if len(values) > 1 else f"{mean:.2f}"
