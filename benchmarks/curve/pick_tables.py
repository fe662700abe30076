"""The tables of the choice by evidence: how often its promise is broken, what it costs, and how far it stays off."""

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import cast

from benchmarks.curve.numbers import describe_share, percentile, split_numbers
from benchmarks.markdown import MISSING, draw_table, find_results
from benchmarks.record import Record

__all__ = ["brief_coverage", "brief_mnist", "draw_coverage", "draw_mnist"]

# What was aimed at before anything was measured.
MOST_BROKEN, MOST_SAMPLES = 0.05, 30_000
UNITS = 256

_WORDS = {
    "pick": "`ww.pick`, accuracy",
    "pick, no bounds": "`ww.pick`, accuracy as if it had no bounds",
    "pick, a loss": "`ww.pick`, a loss without bounds",
    "stored numbers": "narrowest whose drop on all samples is small enough",
    "t-tests": "narrowest that a t-test on all samples is sure of",
    "t-tests, corrected": "the same, corrected for the number of widths (Bonferroni)",
    "always full": "always full width",
}
# Of these the tables of the kinds say how often they fail.
_RIVALS = {"t-tests": "t-tests broken, %", "stored numbers": "stored numbers broken, %"}
_HEADER = [
    "way to choose",
    "promise broken, % (95 % interval)",
    "samples, median",
    "90th percentile",
    "units too many, median",
    "octaves too wide, mean",
    "full width, %",
]


def draw_coverage(record: Record) -> str:
    """Return a row for each way of choosing over all curves, and one for each kind of curve."""
    kinds = [
        [str(cell.key["shape"]), *_summarize(*_columns(cell.result, "pick")), *_broken(cell.result, _RIVALS)]
        for cell in record.cells
    ]
    by_kind = draw_table(["`ww.pick`, accuracy, by curve", *_HEADER[1:], *_RIVALS.values()], kinds)
    return "\n\n".join([_draw_ways(record), by_kind, _judge(*_gather(record, "pick"))])


def brief_coverage(record: Record) -> str:
    """Return the ways to choose over all curves."""
    return _draw_ways(record)


def draw_mnist(record: Record) -> str:
    """Return the true drops, and a row for each way of choosing, for either kind of repeat."""
    parts = [_describe_truth(record.cells[0].result)]
    for cell in record.cells:
        parts += [f"Samples {cell.key['kind']}:", draw_table(_HEADER, _rows(cell.result))]
    return "\n\n".join([*parts, _judge(*_columns(record.cells[0].result, "pick"))])


def brief_mnist(record: Record) -> str:
    """Return the ways to choose where the samples are drawn anew."""
    (result,) = find_results(record, kind="resampled")
    return draw_table(_HEADER, _rows(result))


def _draw_ways(record: Record) -> str:
    names = _choices(record.cells[0].result)
    return draw_table(_HEADER, [[_WORDS[name], *_summarize(*_gather(record, name))] for name in names])


def _rows(result: Mapping[str, object]) -> list[list[str]]:
    return [[_WORDS[name], *_summarize(*_columns(result, name))] for name in _choices(result)]


def _broken(result: Mapping[str, object], names: Iterable[str]) -> list[str]:
    columns = [_columns(result, name)[1]["violated"] for name in names]
    return [f"{100 * sum(violated) / len(violated):.1f}" for violated in columns]


def _choices(result: Mapping[str, object]) -> Mapping[str, Mapping[str, str]]:
    return cast("Mapping[str, Mapping[str, str]]", result["choices"])


def _columns(result: Mapping[str, object], name: str) -> tuple[list[int], dict[str, list[int]]]:
    columns = {column: split_numbers(line) for column, line in _choices(result)[name].items()}
    smallest = result["smallest"]
    if isinstance(smallest, int):
        return [smallest] * len(columns["picked"]), columns
    return split_numbers(cast("str", smallest)), columns


def _gather(record: Record, name: str) -> tuple[list[int], dict[str, list[int]]]:
    smallest, joined = list[int](), dict[str, list[int]]()
    for cell in record.cells:
        least, columns = _columns(cell.result, name)
        smallest += least
        for column, numbers in columns.items():
            joined.setdefault(column, []).extend(numbers)
    return smallest, joined


def _summarize(smallest: Sequence[int], columns: Mapping[str, Sequence[int]]) -> list[str]:
    picked, spent, count = columns["picked"], columns["num_samples"], len(smallest)
    pairs = list(zip(picked, smallest, strict=True))
    return [
        describe_share(sum(columns["violated"]), count),
        f"{percentile(spent, 0.5):,}" if any(spent) else MISSING,
        f"{percentile(spent, 0.9):,}" if any(spent) else MISSING,
        f"{percentile([units - least for units, least in pairs], 0.5)}",
        f"{fmean(math.log2(units / least) for units, least in pairs):.2f}",
        f"{100 * sum(units == UNITS for units in picked) / count:.0f}",
    ]


def _judge(smallest: Sequence[int], columns: Mapping[str, Sequence[int]]) -> str:
    share, most = sum(columns["violated"]) / len(smallest), max(columns["num_samples"])
    missed = [
        *([f"{100 * share:.1f} % broken"] if share > MOST_BROKEN else []),
        *([f"{most:,} samples"] if most > MOST_SAMPLES else []),
    ]
    goal = f"Goal: the promise is broken on at most {100 * MOST_BROKEN:.0f} %, for at most {MOST_SAMPLES:,} samples. "
    return goal + (f"Missed by: {'; '.join(missed)}." if missed else f"Met; the most samples were {most:,}.")


def _describe_truth(result: Mapping[str, object]) -> str:
    drops = cast("Mapping[str, float]", result["drops"])
    curve = ", ".join(f"{units}: {100 * drop:.2f}" for units, drop in drops.items())
    return (
        f"True drops in points by units: {curve}. The fewest units that keep to one point are {result['smallest']}, of "
        f"the widths that `pick` tries {result['smallest_rung']}."
    )
