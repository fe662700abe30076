"""Columns of many whole numbers as lines of a result file, and what is told of them."""

import math
from collections.abc import Mapping, Sequence

__all__ = ["COLUMNS", "describe_share", "join_columns", "join_numbers", "percentile", "split_numbers"]

COLUMNS = ("picked", "violated", "num_samples")


def join_numbers(numbers: Sequence[int]) -> str:
    """Return the numbers in one line, one after the other."""
    return " ".join(map(str, numbers))


def split_numbers(line: str) -> list[int]:
    """Return the numbers that `join_numbers` put into a line."""
    return [int(number) for number in line.split()]


def join_columns(rows: Sequence[tuple[int, int, int]]) -> Mapping[str, str]:
    """Return a line for each column: the units picked, whether the promise was broken, the samples it took."""
    return {name: join_numbers(column) for name, column in zip(COLUMNS, zip(*rows, strict=True), strict=True)}


def describe_share(count: int, total: int) -> str:
    """Return a share in percent with its 95 % interval (Wilson).

    Example:
        >>> describe_share(5, 100)
        '5.0 (2.2 to 11.2)'
    """
    z = 1.959964
    share = count / total
    centre = (share + z**2 / (2 * total)) / (1 + z**2 / total)
    half = z / (1 + z**2 / total) * math.sqrt(share * (1 - share) / total + z**2 / (4 * total**2))
    return f"{100 * share:.1f} ({100 * max(centre - half, 0):.1f} to {100 * min(centre + half, 1):.1f})"


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value below which this share of the values lies, the nearest that there is."""
    ordered = sorted(values)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)]
