"""A curve as cells of text, for a terminal, a notebook or a page."""

from collections.abc import Iterable, Sequence

from widthwise.curves.point import Point
from widthwise.curves.uncertainty import half_band

__all__ = ["is_share", "make_cells"]


def make_cells(points: Sequence[Point], name: str) -> list[list[str]]:
    """Return the rows of a table, the first one the header: width, scores, and costs, one row per point.

    Args:
        points: In the order of the rows.
        name: Word for the score that stands first; the other scores that the points share follow it.

    Accuracies are in percent, as in pictures; behind ± stands half of a band of 95 % confidence. A kB is 1000 bytes;
    latencies and memory stand there where they are known.
    """
    shared = set.intersection(*(set(point.scores) for point in points)) if points else set[str]()
    extras = [other for other in (points[0].scores if points else ()) if other in shared and other != name]
    columns = [["width", *(point.label for point in points)]]
    columns.append(_scores(name, [point.score for point in points], [point.errors.get(name) for point in points]))
    for other in extras:
        errors = [point.errors.get(other) for point in points]
        columns.append(_scores(other, [point.scores[other] for point in points], errors))
    columns.append(["parameters", *(f"{point.params:,}" for point in points)])
    columns.append(["MACs", *(f"{point.macs:,}" for point in points)])
    columns.append(["kB", *(f"{point.bytes / 1000:,.1f}" for point in points)])
    if any(point.memory_bytes is not None for point in points):
        columns.append(["memory kB", *(_memory(point) for point in points)])
    if any(point.latency_ms is not None for point in points):
        columns.append(["latency ms", *(_latency(point) for point in points)])
    return [list(row) for row in zip(*columns, strict=True)]


def is_share(name: str, scores: Iterable[float]) -> bool:
    """Return whether scores of this name are accuracies in [0, 1], which are read best in percent.

    Example:
        >>> is_share("test_accuracy", [0.5, 1.0]), is_share("loss", [0.5]), is_share("accuracy", [97.0])
        (True, False, False)
    """
    return "accuracy" in name.lower() and all(0 <= score <= 1 for score in scores)


def _scores(name: str, scores: Sequence[float], errors: Sequence[float | None]) -> list[str]:
    as_share = is_share(name, scores)
    # A loss wants four decimals, a perplexity of hundreds none of them.
    largest = max((abs(score) for score in scores), default=0.0)
    decimals = 2 if as_share else 4 if largest < 10 else 2 if largest < 1000 else 1
    scale, word = (100, f"{name} %") if as_share else (1, name)
    cells: list[str] = []
    for score, error in zip(scores, errors, strict=True):
        band = "" if error is None else f" ± {scale * half_band(error):,.{decimals}f}"
        cells.append(f"{scale * score:,.{decimals}f}{band}")
    return [word, *cells]


def _memory(point: Point) -> str:
    return "" if point.memory_bytes is None else f"{point.memory_bytes / 1000:,.1f}"


def _latency(point: Point) -> str:
    return "" if point.latency_ms is None else f"{point.latency_ms:.3f}"
