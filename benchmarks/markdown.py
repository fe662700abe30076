"""Tables of Markdown, and the words for what a result file was measured on."""

import statistics
from collections.abc import Mapping, Sequence

from benchmarks.record import Cell, Record

__all__ = ["MISSING", "describe_source", "draw_table", "find_results", "spread"]

MISSING = "-"


def draw_table(header: Sequence[str], rows: Sequence[Sequence[str]], *, num_words: int = 1) -> str:
    """Return a table; the first `num_words` columns are for words, the others for numbers."""
    rule = [":--"] * num_words + ["--:"] * (len(header) - num_words)
    return "\n".join("| " + " | ".join(row) + " |" for row in [header, rule, *rows])


def find_results(record: Record, **key: object) -> list[Mapping[str, object]]:
    """Return the results of the cells whose key has these values, in the order of their seeds or runs."""
    return [cell.result for cell in record.cells if all(cell.key.get(name) == value for name, value in key.items())]


def spread(values: Sequence[float], digits: int = 2) -> str:
    """Return the median of the values, and the smallest and largest of them."""
    if not values:
        return MISSING
    median, low, high = statistics.median(values), min(values), max(values)
    return f"{median:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def describe_source(record: Record, place: str) -> str:
    """Return one line with the tier, commit, machine, threads, seeds and file of a result."""
    environment = record.environment
    threads = environment["threads"]
    words = " and ".join(map(str, threads)) if isinstance(threads, list) else str(threads)
    parts = [
        f"Tier {record.tier}",
        _describe_commits(record.cells),
        f"{environment['processor']}, {environment['cores']} cores, {words} thread{'' if words == '1' else 's'}",
        *([f"GPU {environment['gpu']}"] if environment["gpu"] else []),
        f"torch {environment['torch']}, Python {environment['python']}",
        *([f"seeds {', '.join(map(str, record.seeds))}"] if record.seeds else []),
        f"`{place}`",
    ]
    return "; ".join(parts) + "."


def _describe_commits(cells: Sequence[Cell]) -> str:
    # In the order in which they were measured, each once.
    states = dict.fromkeys((cell.commit, cell.dirty) for cell in cells)
    names = [
        f"{commit[:10] if commit else 'none'}{' with uncommitted changes' if dirty else ''}" for commit, dirty in states
    ]
    return f"commit{'' if len(names) == 1 else 's'} {', '.join(names)}"
