"""What verbs print on stdout: tables for people, JSON for programs."""

import json
import math
import sys
from collections.abc import Mapping, Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from widthwise.curves.table import is_share

__all__ = ["format_bytes", "format_score", "make_table", "say", "say_json"]

# A pipe has no width; a table must not be cut because of that.
_PIPE_WIDTH = 160
# Above it a perplexity says nothing.
_LARGEST_ENTROPY = 50.0


def say(content: object = "") -> None:
    """Print text or a table on stdout; a line of text is never wrapped."""
    width = None if sys.stdout.isatty() else _PIPE_WIDTH
    Console(width=width).print(content, markup=False, highlight=False, soft_wrap=isinstance(content, str))


def say_json(content: Mapping[str, object] | Sequence[object]) -> None:
    """Print JSON on stdout."""
    sys.stdout.write(json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def make_table(cells: Sequence[Sequence[str]], *, left: Sequence[str] = (), marked: int | None = None) -> Table:
    """Return a table of rows of text, the first one the header.

    Args:
        cells: At least the header.
        left: The columns that are text; the others are numbers and stand flush right.
        marked: Which row below the header is printed bold.
    """
    header, *rows = cells
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    for name in header:
        table.add_column(name, justify="left" if name in left else "right", overflow="fold")
    for index, row in enumerate(rows):
        table.add_row(*row, style="bold green" if index == marked else None)
    return table


def format_bytes(count: int) -> str:
    """Return a size in words, a kB being 1000 bytes.

    Example:
        >>> format_bytes(26_530)
        '26.5 kB'
    """
    return f"{count / 1000:,.1f} kB" if count < 1_000_000 else f"{count / 1_000_000:,.2f} MB"


def format_score(score: float, name: str) -> str:
    """Return a score in words: an accuracy in percent, a cross entropy with the perplexity, any other as a number.

    Example:
        >>> format_score(0.9731, "accuracy"), format_score(4.6, "test_cross_entropy")
        ('97.31 %', '4.6 (perplexity 99.48)')
    """
    if is_share(name, [score]):
        return f"{100 * score:.2f} %"
    is_entropy = "cross_entropy" in name and score < _LARGEST_ENTROPY
    return f"{score:.4g} (perplexity {math.exp(score):.4g})" if is_entropy else f"{score:.4g}"
