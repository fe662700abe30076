"""The table of what a width reads of one file that holds all widths."""

import statistics
from collections.abc import Mapping
from typing import cast

from benchmarks.markdown import draw_table
from benchmarks.record import Record

__all__ = ["brief_one_file", "draw_latency", "draw_one_file"]

Counts = Mapping[str, int]
_BRIEF = 0.25


def draw_one_file(record: Record) -> str:
    """Return a row for each network and width: bytes of the network, bytes read, and the same of an upgrade."""
    header = [
        "network", "width", "bytes of the network", "bytes read", "reads", "to here from the width before",
        "shells of octaves", "ranges of a plain file",
    ]  # fmt: skip
    rows = [
        [
            name,
            f"{float(width):g}",
            *(f"{counts[what]:,}" for what in ("extracted_bytes", "read_bytes", "reads", "upgrade_bytes")),
            *(f"{counts[what]:,}" for what in ("octave_shell_bytes", "plain_ranges")),
        ]
        for name, widths in _by_network(record).items()
        for width, counts in widths.items()
    ]
    return draw_table(header, rows)


def brief_one_file(record: Record) -> str:
    """Return what a quarter of the width reads."""
    rows = [
        [name, f"{counts['extracted_bytes']:,}", f"{counts['read_bytes']:,}"]
        for name, widths in _by_network(record).items()
        for width, counts in widths.items()
        if float(width) == _BRIEF
    ]
    return draw_table(["network at a quarter of its width", "its bytes", "bytes read of the file of all widths"], rows)


def _by_network(record: Record) -> dict[str, Mapping[str, Counts]]:
    names = cast("Mapping[str, str]", record.settings["networks"])
    return {
        names[str(cell.key["network"])]: cast("Mapping[str, Counts]", cell.result["widths"]) for cell in record.cells
    }


def draw_latency(record: Record) -> str:
    """Return what the file with the widths as inputs takes, against the extracted one; medians over the seeds."""
    names = cast("Mapping[str, str]", record.settings["networks"])
    ratios: dict[tuple[str, float], list[float]] = {}
    for cell in record.cells:
        key = (str(cell.key["network"]), cast("float", cell.key["width"]))
        ratios.setdefault(key, []).append(cast("float", cell.result["wall_ratio"]))
    rows = [
        [names[name], f"{width:g}", f"{statistics.median(found):.2f} ({min(found):.2f} to {max(found):.2f})"]
        for (name, width), found in ratios.items()
    ]
    return draw_table(["network", "width", "times the extracted file"], rows)
