"""The width groups of a network as a picture: a row per module, a column per group, by matplotlib."""

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from torch import nn

from widthwise._shared import GroupError, replace_file, require
from widthwise.groups import Group, Groups
from widthwise.report.cells import Cell, Row, make_rows, shorten
from widthwise.report.picture import SETTINGS, check_ending, make_metadata

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_map"]

# Inches, in which everything is placed: a picture grows with its network, and letters and marks stay as they are.
_COLUMN, _ROW, _INDENT, _MARGIN = 0.42, 0.2, 0.12, 0.2
_TITLE, _FOOT = 0.4, 0.7
_LETTER = 0.071  # an upper bound for the mean letter of DejaVu Sans at _POINTS, so that names have room
_POINTS = 8.0
_LONGEST = 36
_LEGEND_WIDTH = 5.4
# Beyond these a mark is far from its names, which stand on the other side too.
_MOST_ROWS, _MOST_COLUMNS = 40, 20

_DOTS_PER_INCH = 160
# matplotlib draws no more than 2^16 dots along an edge.
_MOST_DOTS = 60_000

# Colours that colour-blind people tell apart: the palette of Okabe and Ito (2008). They only repeat what columns say.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
_INK, _FAINT, _GRID, _FROZEN = "#1f2933", "#52606d", "#e4e7eb", "#9aa5b1"
_DOTTED = (0, (1.5, 2))

# By shape and by place in its cell: what produces to the left, what reads to the right.
_MARKS: Mapping[str, Mapping[str, object]] = {
    "produces": {"marker": "s", "fillstyle": "full", "markersize": 6.0},
    "reads": {"marker": "o", "fillstyle": "none", "markersize": 6.0, "markeredgewidth": 1.5},
    "carries": {"marker": "_", "markersize": 9.0, "markeredgewidth": 2.0},
    "kernel": {"marker": "x", "markersize": 4.5, "markeredgewidth": 1.2},
}
_SHIFTS = {"produces": -0.09, "reads": 0.09, "carries": 0.0, "kernel": 0.0}
_LEGEND = {
    "produces": "produces the units",
    "reads": "reads them (sums over them)",
    "carries": "has one number per unit (a norm)",
    "kernel": "kernel of a convolution",
}


def draw_map(groups: Groups, net: nn.Module, path: str | os.PathLike[str]) -> None:
    """Draw which module produces and which reads each width group, and write the picture to `path` in one step.

    Args:
        groups: The width groups of the network; each is a column, and what is frozen is the last, grey one.
        net: The network; each module that owns parameters is a row.
        path: A file name that ends in .png, .svg or .pdf.

    Raises:
        MissingExtraError: Where matplotlib is not installed.
        GroupError: Where the ending is another, or the file cannot be written.
    """
    file_format = check_ending(path, GroupError)
    matplotlib = require("matplotlib", "plot")
    figures = require("matplotlib.figure", "plot")
    rows = make_rows(groups, net)
    head = _LETTER * max(len(line) for group in groups for line in _group_words(group))
    left = _MARGIN + max(_row_start(row) + _LETTER * len(_row_words(row)) for row in rows)
    top, right = _TITLE + head, left + _COLUMN * (len(groups) + 1)
    bottom = top + _ROW * len(rows)
    foot = bottom + 0.1 + (head if len(rows) > _MOST_ROWS else 0)
    edge = right + (_LETTER * _LONGEST if len(groups) > _MOST_COLUMNS else 0)
    width, height = max(edge + _MARGIN, _LEGEND_WIDTH), foot + _FOOT
    with matplotlib.rc_context(SETTINGS):
        dpi = min(_DOTS_PER_INCH, _MOST_DOTS / max(width, height))
        figure = figures.Figure(figsize=(width, height), dpi=dpi)
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set(xlim=(0, width), ylim=(height, 0))
        axes.set_axis_off()
        words = f"{type(net).__name__}: {len(groups)} width group{'s' if len(groups) > 1 else ''}"
        axes.text(_MARGIN, 0.24, words, color=_INK, fontweight="bold", fontsize=10, va="center")
        _draw_rows(axes, rows, left, top, right, again=edge > right)
        ends = (top, bottom) if len(rows) > _MOST_ROWS else (top,)
        for column, group in enumerate(groups):
            _draw_group(axes, rows, group, column, left, ends)
        _draw_column(axes, rows, None, "frozen", right - _COLUMN / 2, ends, ink=_FAINT, colour=_FROZEN)
        _draw_legend(axes, foot + 0.1)
        with replace_file(path, error=GroupError) as temporary:
            figure.savefig(temporary, format=file_format, metadata=make_metadata(file_format))


def _row_words(row: Row) -> str:
    return shorten(row.label, _LONGEST)


def _row_start(row: Row) -> float:
    return _MARGIN + _INDENT * row.depth


def _group_words(group: Group) -> tuple[str, str]:
    size = f"{group.size} {group.kind}" if group.kind in ("units", "heads") else f"{group.size} units, {group.kind}"
    return shorten(group.name, _LONGEST), size if group.follows else f"{size}, by name"


def _height(top: float, index: int) -> float:
    return top + _ROW * (index + 0.5)


def _draw_rows(axes: "Axes", rows: Sequence[Row], left: float, top: float, right: float, *, again: bool) -> None:
    for index, row in enumerate(rows):
        y = _height(top, index)
        axes.plot([left, right], [y, y], color=_GRID, linewidth=0.8, zorder=1)
        ink = _INK if any(cell.column is not None for cell in row.cells) else _FROZEN
        axes.text(_row_start(row), y, _row_words(row), color=ink, fontsize=_POINTS, va="center")
        if again:
            words = shorten(row.path or row.label, _LONGEST)
            axes.text(right + 0.06, y, words, color=ink, fontsize=_POINTS, va="center")


def _draw_group(
    axes: "Axes", rows: Sequence[Row], group: Group, column: int, left: float, ends: Sequence[float]
) -> None:
    x = left + _COLUMN * (column + 0.5)
    colour, ink = _COLOURS[column % len(_COLOURS)], _INK if group.follows else _FAINT
    heights = [_height(ends[0], i) for i, row in enumerate(rows) if any(cell.column == column for cell in row.cells)]
    if heights:
        style = "-" if group.follows else _DOTTED
        axes.plot([x, x], [min(heights), max(heights)], color=colour, linewidth=1.0, linestyle=style, zorder=2)
    _draw_column(axes, rows, column, "\n".join(_group_words(group)), x, ends, ink=ink, colour=colour)


def _draw_column(
    axes: "Axes",
    rows: Sequence[Row],
    column: int | None,
    words: str,
    x: float,
    ends: Sequence[float],
    *,
    ink: str,
    colour: str,
) -> None:
    for y, side, shift in zip(ends, ("bottom", "top"), (-0.06, 0.06), strict=False):
        axes.text(x, y + shift, words, color=ink, fontsize=_POINTS, rotation=90, ha="center", va=side)
    for index, row in enumerate(rows):
        for cell in sorted((cell for cell in row.cells if cell.column == column), key=_order):
            _draw_mark(axes, cell.role, x + _SHIFTS[cell.role], _height(ends[0], index), colour)


def _order(cell: Cell) -> str:
    return cell.role


def _draw_mark(axes: "Axes", role: str, x: float, y: float, colour: str) -> None:
    (line,) = axes.plot([x], [y], color=colour, linestyle="none", zorder=3)
    line.set(**_MARKS[role])


def _draw_legend(axes: "Axes", y: float) -> None:
    for index, (role, words) in enumerate(_LEGEND.items()):
        x, line = _MARGIN + 2.7 * (index % 2), y + 0.2 * (index // 2)
        _draw_mark(axes, role, x + 0.1, line, _FAINT)
        axes.text(x + 0.3, line, words, color=_FAINT, fontsize=_POINTS, va="center")
    y += 0.4
    axes.plot([_MARGIN, _MARGIN + 0.2], [y, y], color=_FAINT, linewidth=1.2, linestyle=_DOTTED)
    words = "moves by name only, not with a fraction of every group; grey: keeps its size"
    axes.text(_MARGIN + 0.3, y, words, color=_FAINT, fontsize=_POINTS, va="center")
