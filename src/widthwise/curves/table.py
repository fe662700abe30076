"""A curve as cells of text, for a terminal, a notebook or a page."""

from collections.abc import Sequence

from widthwise.curves.point import Point

__all__ = ["align_cells", "make_cells"]


def make_cells(points: Sequence[Point], name: str) -> list[list[str]]:
    """Return the rows of a table, the first one the header: width, scores, and costs, one row per point.

    Args:
        points: In the order of the rows.
        name: Word for the score that stands first; the other scores that the points share follow it.

    Columns of kilobytes (1000 bytes) and of latencies stand there where they are known.
    """
    shared = set.intersection(*(set(point.scores) for point in points)) if points else set[str]()
    extras = [other for other in (points[0].scores if points else ()) if other in shared and other != name]
    columns = [["width", *(point.label for point in points)], [name, *_scores([point.score for point in points])]]
    columns += [[other, *_scores([point.scores[other] for point in points])] for other in extras]
    columns.append(["parameters", *(f"{point.params:,}" for point in points)])
    columns.append(["MACs", *(f"{point.macs:,}" for point in points)])
    columns.append(["kB", *(f"{point.bytes / 1000:,.1f}" for point in points)])
    if any(point.latency_ms is not None for point in points):
        columns.append(["latency ms", *(_latency(point) for point in points)])
    return [list(row) for row in zip(*columns, strict=True)]


def align_cells(cells: Sequence[Sequence[str]]) -> str:
    r"""Return the cells as lines of text, columns two spaces apart and flush right.

    Example:
        >>> align_cells([["width", "MACs"], ["0.5", "12"]])
        'width  MACs\n  0.5    12'
    """
    sizes = [max(len(cell) for cell in column) for column in zip(*cells, strict=True)]
    return "\n".join("  ".join(cell.rjust(size) for cell, size in zip(row, sizes, strict=True)) for row in cells)


def _scores(scores: Sequence[float]) -> list[str]:
    # An accuracy wants four decimals, a perplexity of hundreds none of them.
    largest = max((abs(score) for score in scores), default=0.0)
    decimals = 4 if largest < 10 else 2 if largest < 1000 else 1
    return [f"{score:,.{decimals}f}" for score in scores]


def _latency(point: Point) -> str:
    return "" if point.latency_ms is None else f"{point.latency_ms:.3f}"
