"""A curve as a picture file: score against parameters, by matplotlib."""

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from widthwise._shared import CurveError, replace_file, require
from widthwise.curves import COST_WORDS, Cost, Curve, Point
from widthwise.report.frame import Frame, band_of, choose_labelled, make_frame, place_words
from widthwise.report.picture import SETTINGS, check_ending, make_metadata
from widthwise.report.words import cost_words, count_words, score_words, tick_words, width_words

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_curve"]

_INCHES = (7.6, 4.4)
_DOTS_PER_INCH = 180
# With less, a tick's label at the right edge looks cut.
_MARGIN_INCHES = 0.12

# Colours that colour-blind people tell apart: the palette of Okabe and Ito (2008). Vermilion is kept for the pick.
_LINES = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9")
_MARKERS = ("o", "s", "^", "D", "v", "P")
_PICK = "#D55E00"

# Keeps a word readable where a line runs through it; a stroke around its letters would turn them into curves.
_BACKING = {"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 0.6}

_INK, _FAINT, _GRID = "#1f2933", "#52606d", "#e4e7eb"


def draw_curve(
    curve: Curve,
    path: str | os.PathLike[str],
    *,
    point: Point | None = None,
    others: Mapping[str, Curve] | None = None,
    name: str = "this run",
    title: str | None = None,
    cost: Cost = "params",
) -> None:
    """Draw the score of each width against its cost, and write the picture to `path` in one step.

    Behind a line stands its band of 95 % confidence, where that is known. A marker is hollow where another point of its
    curve is no worse and no dearer.

    Args:
        curve: What to draw; its points are labelled with their widths.
        path: A file name that ends in .png, .svg or .pdf.
        point: The point that was picked, drawn with a ring and its numbers.
        others: More curves of the same score, by the name that they have in the legend.
        name: The name of `curve` in the legend, which is drawn where there are others.
        title: Words above the picture; None for what the axes say.
        cost: What scores are drawn against: "params", "macs", "bytes", "memory_bytes" or "latency_ms".

    Raises:
        MissingExtraError: Where matplotlib is not installed.
        CurveError: Where the ending is another, the curves are of different scores, a point does not know that cost, or
            the file cannot be written.
    """
    file_format = check_ending(path, CurveError)
    others = others or {}
    frame = make_frame(curve, others, point, cost)
    matplotlib = require("matplotlib", "plot")
    figures = require("matplotlib.figure", "plot")
    with matplotlib.rc_context(SETTINGS):
        figure = figures.Figure(figsize=_INCHES, dpi=_DOTS_PER_INCH)
        figure.set_layout_engine("constrained", w_pad=_MARGIN_INCHES, h_pad=_MARGIN_INCHES)
        axes = figure.add_subplot()
        _draw_frame(axes, frame, curve, title)
        for index, (label, each) in enumerate([(name, curve), *others.items()]):
            _draw_line(axes, frame, each, index, label)
        _draw_full(axes, frame, curve)
        _draw_labels(axes, frame, curve, point)
        if point is not None:
            _draw_pick(axes, frame, curve, point)
        if others:
            axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, frameon=False, borderaxespad=0.3)
        with replace_file(path, error=CurveError) as temporary:
            figure.savefig(temporary, format=file_format, metadata=make_metadata(file_format))


def _draw_frame(axes: "Axes", frame: Frame, curve: Curve, title: str | None) -> None:
    axes.set_xscale("log")
    axes.set_xlim(*frame.x_range)
    axes.set_ylim(*frame.y_range)
    axes.set_xticks(frame.x_ticks, [count_words(tick) for tick in frame.x_ticks])
    axes.set_xticks([], minor=True)
    axes.set_yticks(frame.y_ticks, [tick_words(tick, as_share=frame.as_share) for tick in frame.y_ticks])
    axes.set_xlabel(f"{COST_WORDS[frame.cost]} (beside the points: width)", color=_FAINT)
    axes.set_ylabel(curve.name if curve.higher_is_better else f"{curve.name} (lower is better)", color=_FAINT)
    axes.grid(color=_GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, colors=_FAINT)
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(_FAINT)
    if title is not None:
        axes.set_title(title, loc="left", color=_INK, fontweight="bold", pad=24)


def _draw_line(axes: "Axes", frame: Frame, curve: Curve, index: int, label: str) -> None:
    colour, marker = _LINES[index % len(_LINES)], _MARKERS[index % len(_MARKERS)]
    above = 3 - 0.01 * index
    points = sorted(curve.points, key=frame.cost_of)
    front = curve.front(frame.cost).points
    axes.plot(_costs(frame, points), _scores(points), color=colour, linewidth=2.0, zorder=above)
    known = [point for point in points if curve.name in point.errors]
    if known:
        lower, upper = zip(*(band_of(point, curve.name) for point in known), strict=True)
        axes.fill_between(_costs(frame, known), lower, upper, color=colour, alpha=0.18, linewidth=0, zorder=2.5)
    for chosen, face, edge in (
        ([point for point in points if point in front], colour, "white"),
        ([point for point in points if point not in front], "white", colour),
    ):
        (marks,) = axes.plot(_costs(frame, chosen), _scores(chosen), linestyle="none", zorder=above)
        marks.set(marker=marker, markersize=6.0, color=face, markeredgecolor=edge, markeredgewidth=0.8)
    # A line of its own for the legend, which shows line and marker together.
    (shown,) = axes.plot([], [], color=colour, linewidth=2.0, label=label)
    shown.set(marker=marker, markersize=6.0, markeredgecolor="white", markeredgewidth=0.8)


def _costs(frame: Frame, points: Sequence[Point]) -> list[float]:
    return [frame.cost_of(point) for point in points]


def _scores(points: Sequence[Point]) -> list[float]:
    return [point.score for point in points]


def _draw_full(axes: "Axes", frame: Frame, curve: Curve) -> None:
    full = curve.full
    if full is None:
        return
    axes.axhline(full.score, color=_FAINT, linewidth=1.0, linestyle=(0, (4, 3)), zorder=2)
    words = f"full width {score_words(full.score, as_share=frame.as_share)}"
    axes.annotate(
        words,
        xy=(0.0, full.score),
        xycoords=("axes fraction", "data"),
        xytext=(4, 4),
        textcoords="offset points",
        color=_FAINT,
        fontsize=9,
    )


def _draw_labels(axes: "Axes", frame: Frame, curve: Curve, point: Point | None) -> None:
    # The side of the markers that a curve, rising or falling to the right, leaves free.
    side, anchor = (-1, "top") if curve.higher_is_better else (1, "bottom")
    for found in choose_labelled(curve.points, frame, point, gap=(0.055, 0.05)):
        axes.annotate(
            width_words(found),
            xy=(frame.cost_of(found), found.score),
            xytext=(8, 7 * side) if found == point else (5, 4 * side),
            textcoords="offset points",
            va=anchor,
            color=_INK,
            fontsize=8.5,
            bbox=_BACKING,
        )


def _draw_pick(axes: "Axes", frame: Frame, curve: Curve, point: Point) -> None:
    cost = frame.cost_of(point)
    x, _ = frame.place_point(point)
    # Down where curves rise to the right, up where they fall: there the numbers stand in the open.
    edge, y, anchor = (frame.y_range[0], 0.03, "bottom") if curve.higher_is_better else (frame.y_range[1], 0.97, "top")
    axes.plot([cost, cost], [edge, point.score], color=_PICK, linewidth=1.0, linestyle=(0, (2, 2)), zorder=2)
    axes.plot(
        [cost], [point.score], marker="o", markersize=13, color=_PICK, fillstyle="none", markeredgewidth=2, zorder=5
    )
    score = score_words(point.score, as_share=frame.as_share)
    words = f"picked: width {point.label}, {cost_words(point, frame.cost)}, {score}"
    x, end = place_words(x, words)
    axes.annotate(
        words,
        xy=(x, y),
        xycoords="axes fraction",
        ha=end,
        va=anchor,
        color=_PICK,
        fontweight="bold",
        fontsize=9.5,
        bbox=_BACKING,
    )
