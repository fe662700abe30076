"""Numbers of a curve as words in a picture or on a page."""

from collections.abc import Iterable

from widthwise.curves import COST_WORDS, Cost, Curve, Point, cost_of, half_band, table

__all__ = ["band_words", "cost_words", "count_words", "is_share", "score_words", "tick_words", "width_words"]


def width_words(point: Point) -> str:
    """Return a short word for the width of a point, to stand beside its marker; "" where the groups differ.

    Example:
        >>> width_words(Point(width=0.25, widths={"fc1": 8}, score=0.9, params=5, macs=4, bytes=20))
        '1/4'
    """
    if point.width is None:
        return ""
    if point.width == 1.0:
        return "full"
    denominator = round(1 / point.width)
    return f"1/{denominator}" if abs(denominator * point.width - 1) < 1e-6 else f"{point.width:.2g}"


def count_words(count: float) -> str:
    """Return a count in three digits with a letter for thousands, millions and billions.

    Example:
        >>> count_words(2314), count_words(1_000_000), count_words(12)
        ('2.31k', '1M', '12')
    """
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        # 999,500 is nearer to a million than to 999 thousand.
        if count >= size * 0.9995:
            return f"{count / size:.3g}{letter}"
    return f"{count:.3g}"


def cost_words(point: Point, cost: Cost) -> str:
    """Return what a point costs, with its unit; bytes in kB.

    Example:
        >>> cost_words(Point(width=0.25, widths={"fc1": 8}, score=0.9, params=5123, macs=4, bytes=20_400), "params")
        '5,123 parameters'
    """
    found = cost_of(point, cost)
    if cost in ("bytes", "memory_bytes"):
        return f"{found / 1000:,.1f} {COST_WORDS[cost].replace('bytes', 'kB')}"
    return f"{found:.3g} {COST_WORDS[cost]}" if cost == "latency_ms" else f"{found:,.0f} {COST_WORDS[cost]}"


def band_words(point: Point, name: str, *, as_share: bool) -> str:
    """Return half the band of 95 % confidence around a score, behind a sign; "" where no error is known."""
    error = point.errors.get(name)
    return "" if error is None else f" ± {score_words(half_band(error), as_share=as_share)}"


def is_share(curves: Iterable[Curve]) -> bool:
    """Return whether all the scores are accuracies in [0, 1], which are read best in percent."""
    return all(table.is_share(curve.name, (point.score for point in curve.points)) for curve in curves)


def score_words(score: float, *, as_share: bool) -> str:
    """Return a score in four digits, an accuracy in percent.

    Example:
        >>> score_words(0.9712, as_share=True), score_words(12.3456, as_share=False)
        ('97.1%', '12.35')
    """
    return f"{100 * score:.1f}%" if as_share else f"{score:.4g}"


def tick_words(score: float, *, as_share: bool) -> str:
    """Return a score on an axis, a round number, in as few digits as it has.

    Example:
        >>> tick_words(0.95, as_share=True), tick_words(0.95, as_share=False)
        ('95%', '0.95')
    """
    return f"{100 * score:.6g}%" if as_share else f"{score:.6g}"
