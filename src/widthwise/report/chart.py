"""A curve as an inline SVG for a page: its colours are left to the page's style, so that it follows light and dark."""

from collections.abc import Mapping
from html import escape

from widthwise.curves import COST_WORDS, Cost, Curve, Point
from widthwise.report.frame import Frame, band_of, choose_labelled, make_frame, place_words
from widthwise.report.words import band_words, cost_words, count_words, score_words, tick_words, width_words

__all__ = ["draw_chart"]

# The picture, and the field of it that the curves lie in, in units that a page scales.
_WIDTH, _HEIGHT = 760, 430
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 744, 36, 378
_NUM_COLOURS = 5


def draw_chart(
    curve: Curve,
    *,
    point: Point | None = None,
    others: Mapping[str, Curve] | None = None,
    name: str = "this run",
    cost: Cost = "params",
) -> str:
    """Return an `<svg>` of the score of each width against its cost.

    A marker that is pointed at tells its numbers; it is hollow where another point of its curve is no worse and no
    dearer. Classes for a style sheet: `grid`, `tick`, `axis`, `full`, `line-0` ... `line-4`, `band`, `mark`, `beaten`,
    `width`, `pick`.

    Args:
        curve: What to draw; its points are labelled with their widths.
        point: The point that was picked.
        others: More curves of the same score, by the name that they have in the legend.
        name: The name of `curve` in the legend, which is drawn where there are others.
        cost: What scores are drawn against.

    Raises:
        CurveError: Where the curves are of different scores, or a point does not know that cost.
    """
    others = others or {}
    frame = make_frame(curve, others, point, cost)
    named = [(name, curve), *others.items()]
    parts = [*_grid(frame, curve), *_full(frame, curve)]
    # The first curve is drawn last, over the others.
    for index, (_, each) in reversed(list(enumerate(named))):
        parts += [*_band(frame, each, index), *_line(frame, each, index)]
    parts += _labels(frame, curve, point)
    if point is not None:
        parts += _pick(frame, curve, point)
    if others:
        parts += _legend([label for label, _ in named])
    words = escape(f"{curve.name} against {COST_WORDS[cost]} at {len(curve)} widths")
    body = "\n".join(parts)
    return f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{words}">\n{body}\n</svg>'


def _grid(frame: Frame, curve: Curve) -> list[str]:
    parts: list[str] = []
    for tick in frame.y_ticks:
        _, y = _at(frame, frame.x_range[0], tick)
        parts.append(_segment("grid", (_LEFT, y), (_RIGHT, y)))
        parts.append(_text("tick", (_LEFT - 8, y + 4), tick_words(tick, as_share=frame.as_share), anchor="end"))
    for tick in frame.x_ticks:
        x, _ = _at(frame, tick, 0)
        parts.append(_segment("grid", (x, _TOP), (x, _BOTTOM)))
        parts.append(_text("tick", (x, _BOTTOM + 18), count_words(tick), anchor="middle"))
    parts.append(_segment("axis", (_LEFT, _BOTTOM), (_RIGHT, _BOTTOM)))
    middle = (_LEFT + _RIGHT) / 2
    words = f"{COST_WORDS[frame.cost]} (beside the points: width)"
    parts.append(_text("tick", (middle, _HEIGHT - 8), words, anchor="middle"))
    direction = "" if curve.higher_is_better else " (lower is better)"
    turned = f' transform="rotate(-90 14 {_HEIGHT / 2:.0f})"'
    parts.append(_text("tick", (14, _HEIGHT / 2), curve.name + direction, anchor="middle", more=turned))
    return parts


def _full(frame: Frame, curve: Curve) -> list[str]:
    full = curve.full
    if full is None:
        return []
    _, y = _at(frame, frame.x_range[0], full.score)
    words = f"full width {score_words(full.score, as_share=frame.as_share)}"
    return [_segment("full", (_LEFT, y), (_RIGHT, y)), _text("tick", (_LEFT + 5, y - 6), words)]


def _band(frame: Frame, curve: Curve, index: int) -> list[str]:
    """Return the band of 95 % confidence, as one closed line; nothing where no error is known."""
    known = [point for point in _ordered(frame, curve) if curve.name in point.errors]
    if len(known) < 2:
        return []
    lower = [_at(frame, frame.cost_of(point), band_of(point, curve.name)[0]) for point in known]
    upper = [_at(frame, frame.cost_of(point), band_of(point, curve.name)[1]) for point in reversed(known)]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in [*lower, *upper])
    return [f'<polygon class="line-{index % _NUM_COLOURS} band" points="{path}"/>']


def _line(frame: Frame, curve: Curve, index: int) -> list[str]:
    points = _ordered(frame, curve)
    places = [_at(frame, frame.cost_of(point), point.score) for point in points]
    kind = f"line-{index % _NUM_COLOURS}"
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    parts = [f'<polyline class="{kind}" points="{path}"/>']
    front = curve.front(frame.cost).points
    for point, (x, y) in zip(points, places, strict=True):
        band = band_words(point, curve.name, as_share=frame.as_share)
        score = score_words(point.score, as_share=frame.as_share) + band
        words = f"width {point.label}: {score}, {cost_words(point, frame.cost)}"
        mark = "mark" if point in front else "mark beaten"
        parts.append(
            f'<circle class="{kind} {mark}" cx="{x:.1f}" cy="{y:.1f}" r="4"><title>{escape(words)}</title></circle>'
        )
    return parts


def _ordered(frame: Frame, curve: Curve) -> list[Point]:
    # By parameters they are in order; by another cost two may change places, and the line would run back.
    return sorted(curve.points, key=frame.cost_of)


def _labels(frame: Frame, curve: Curve, point: Point | None) -> list[str]:
    # The side of the markers that a curve, rising or falling to the right, leaves free.
    down = 15.0 if curve.higher_is_better else -7.0
    parts: list[str] = []
    for found in choose_labelled(curve.points, frame, point, gap=(0.055, 0.05)):
        x, y = _at(frame, frame.cost_of(found), found.score)
        away = 4.0 if found == point else 0.0
        shift = away if curve.higher_is_better else -away
        parts.append(_text("width", (x + 5 + away, y + down + shift), width_words(found)))
    return parts


def _pick(frame: Frame, curve: Curve, point: Point) -> list[str]:
    x, y = _at(frame, frame.cost_of(point), point.score)
    # Down where curves rise to the right, up where they fall: there the numbers stand in the open.
    edge, height = (_BOTTOM, _BOTTOM - 10) if curve.higher_is_better else (_TOP, _TOP + 16)
    score = score_words(point.score, as_share=frame.as_share)
    words = f"picked: width {point.label}, {cost_words(point, frame.cost)}, {score}"
    share, end = place_words((x - _LEFT) / (_RIGHT - _LEFT), words)
    place = (_LEFT + share * (_RIGHT - _LEFT), height)
    return [
        _segment("pick", (x, edge), (x, y)),
        f'<circle class="pick" cx="{x:.1f}" cy="{y:.1f}" r="9"/>',
        _text("pick", place, words, anchor="start" if end == "left" else "end"),
    ]


def _legend(names: list[str]) -> list[str]:
    parts: list[str] = []
    # Every name has an equal share of the row.
    step = (_RIGHT - _LEFT) / max(3, len(names))
    for index, name in enumerate(names):
        x, kind = _LEFT + index * step, f"line-{index % _NUM_COLOURS}"
        parts.append(f'<polyline class="{kind}" points="{x:.1f},14 {x + 26:.1f},14"/>')
        parts.append(f'<circle class="{kind} mark" cx="{x + 13:.1f}" cy="14" r="4"/>')
        parts.append(_text("legend", (x + 33, 18), name))
    return parts


def _at(frame: Frame, cost: float, score: float) -> tuple[float, float]:
    x, y = frame.place(cost, score)
    return _LEFT + x * (_RIGHT - _LEFT), _BOTTOM - y * (_BOTTOM - _TOP)


def _segment(kind: str, start: tuple[float, float], end: tuple[float, float]) -> str:
    (x1, y1), (x2, y2) = start, end
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _text(kind: str, place: tuple[float, float], words: str, *, anchor: str = "start", more: str = "") -> str:
    x, y = place
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{more}>{escape(words)}</text>'
