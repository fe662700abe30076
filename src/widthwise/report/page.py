"""A curve as one HTML file: picture, table, pick, recipe and environment, with nothing to fetch and no script in it."""

import os
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from string import Template

from widthwise._shared import CurveError, write_text
from widthwise.curves import Cost, Curve, Point
from widthwise.report.chart import draw_chart
from widthwise.report.words import band_words, is_share, score_words

__all__ = ["write_report"]


def write_report(
    curve: Curve,
    path: str | os.PathLike[str],
    *,
    point: Point | None = None,
    others: Mapping[str, Curve] | None = None,
    name: str = "this run",
    title: str = "Score at every width",
    recipe: str | None = None,
    environment: Mapping[str, object] | None = None,
    cost: Cost = "params",
) -> None:
    """Write a page about `curve` to `path` in one step. It opens without a network, in light and dark, and prints.

    Args:
        curve: What the page is about.
        path: The file to write, such as report.html.
        point: The point that was picked, shown first and marked in picture and table.
        others: More curves of the same score, by name, drawn beside it.
        name: The name of `curve` beside others.
        title: The heading.
        recipe: Text of the recipe that the model was trained by.
        environment: Versions and machine; None takes those that the curve was measured on.
        cost: What scores are drawn against.

    Raises:
        CurveError: Where the curves are of different scores, a point does not know that cost, or the file cannot be
            written.
    """
    room = files("widthwise.report")
    values = {
        "title": escape(title),
        "style": room.joinpath("page.css").read_text(encoding="utf-8"),
        "lead": escape(_lead(curve)),
        "picked": "" if point is None else _tiles(curve, point),
        "chart": draw_chart(curve, point=point, others=others, name=name, cost=cost),
        "table": _table(curve, point) + _beside(others or {}),
        "note": escape(_note(curve)),
        "recipe": "" if recipe is None else f"<h2>Recipe</h2>\n<pre>{escape(recipe)}</pre>",
        "environment": _environment(curve.environment if environment is None else environment),
    }
    page = Template(room.joinpath("page.html").read_text(encoding="utf-8")).substitute(values)
    write_text(path, page, error=CurveError)


def _lead(curve: Curve) -> str:
    as_share = is_share([curve])
    ends = [curve.points[0], curve.points[-1]][: len(curve)]
    first, *last = (f"{score_words(point.score, as_share=as_share)} with {point.params:,} parameters" for point in ends)
    if not last:
        return f"One trained network at 1 width: {curve.name} {first}."
    return f"One trained network at {len(curve)} widths: {curve.name} from {first} to {last[0]}."


def _tiles(curve: Curve, point: Point) -> str:
    full, as_share = curve.full, is_share([curve])
    tiles = [
        ("width picked", point.label, ""),
        (curve.name, _score(curve, point, as_share), "" if full is None else _full_words(full, as_share)),
        ("parameters", f"{point.params:,}", _share(point.params, full and full.params)),
        ("kB as .safetensors", f"{point.bytes / 1000:,.1f}", _share(point.bytes, full and full.bytes)),
    ]
    if point.memory_bytes is not None:
        words = _share(point.memory_bytes, full and full.memory_bytes)
        tiles.append(("kB of activations", f"{point.memory_bytes / 1000:,.1f}", words))
    if point.latency_ms is not None:
        tiles.append(("ms per sample", f"{point.latency_ms:.3f}", _share(point.latency_ms, full and full.latency_ms)))
    cells = "\n".join(
        f'<div class="tile"><b>{escape(value)}</b><span>{escape(words)}{escape(more)}</span></div>'
        for words, value, more in tiles
    )
    return f'<div class="tiles picked">\n{cells}\n</div>'


def _score(curve: Curve, point: Point, as_share: bool) -> str:
    return score_words(point.score, as_share=as_share) + band_words(point, curve.name, as_share=as_share)


def _full_words(full: Point, as_share: bool) -> str:
    return f", {score_words(full.score, as_share=as_share)} at full width"


def _share(cost: float, full: float | None) -> str:
    return f", {100 * cost / full:.3g}% of full" if full else ""


def _table(curve: Curve, point: Point | None) -> str:
    header, *rows = curve.cells()
    lines = [_row(header, "th")]
    # From the full network down, as one reads.
    for found, row in reversed(list(zip(curve.points, rows, strict=True))):
        lines.append(_row(row, "td", ' class="picked"' if found == point else ""))
    return "<table>\n" + "\n".join(lines) + "\n</table>"


def _beside(others: Mapping[str, Curve]) -> str:
    """Return the tables of other curves, each under its name."""
    return "".join(f"\n<h3>{escape(name)}</h3>\n{_table(other, None)}" for name, other in others.items())


def _row(cells: Sequence[str], tag: str, more: str = "") -> str:
    return f"<tr{more}>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"


def _note(curve: Curve) -> str:
    sentences = ["Scores and costs are those of the extracted networks. kB is 1000 bytes of .safetensors."]
    sentences.append("One MAC is two FLOPs.")
    if any(point.errors for point in curve.points):
        sentences.append("Behind ± stands half of a band of 95 % confidence, over the samples that were scored.")
    if any(point.memory_bytes is not None for point in curve.points):
        sentences.append("Memory is the most that the activations of one sample take at a time, weights left out.")
    devices = sorted({point.latency_device or "" for point in curve.points if point.latency_ms is not None})
    if devices:
        where = " and ".join(filter(None, devices))
        on = f" ({where})" if where else ""
        sentences.append(f"Latency is the median of one pass at batch 1 on one thread{on}.")
    if curve.is_calibrated:
        sentences.append("BatchNorm statistics were measured again at every width below full.")
    return " ".join(sentences)


def _environment(environment: Mapping[str, object]) -> str:
    known = {name: value for name, value in environment.items() if value is not None}
    if not known:
        return ""
    rows = "\n".join(f"<tr><th>{escape(name)}</th><td>{escape(str(value))}</td></tr>" for name, value in known.items())
    return f'<h2>Measured on</h2>\n<table class="facts">\n{rows}\n</table>'
