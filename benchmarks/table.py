"""One result file with its words: a section of the page of benchmarks."""

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.record import Record

__all__ = ["Table"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """One result file and its words: `draw` for the page, `brief` for the README."""

    name: str
    title: str
    words: str
    results: str
    command: str
    draw: Callable[[Record], str]
    brief: Callable[[Record], str]
