"""The table of width and quantisation: what each loses alone, and what they lose together."""

from collections.abc import Mapping
from typing import cast

from benchmarks.markdown import MISSING, draw_table, find_results
from benchmarks.record import Record

__all__ = ["brief_quantised", "draw_quantised", "find_interaction"]

_FULL, _FLOAT = 1.0, "float32"
# Of accuracy: what is lost together may be as much more than the sum of what is lost alone.
GOAL = 0.5


def draw_quantised(record: Record) -> str:
    """Return score and bytes of every width in every kind of numbers, what is lost, and whether losses add up."""
    header = ["numbers", "width", "accuracy, %", "bytes", "times smaller", "lost, points", "alone, summed", "more"]
    widths = list(dict.fromkeys(cast("float", cell.key["width"]) for cell in record.cells))
    kinds = list(dict.fromkeys(str(cell.key["kind"]) for cell in record.cells))
    rows = [_row(record, width, kind) for kind in kinds for width in widths]
    left_out = [
        f"{kind} at width {_name(width)}: {_find(record, width, kind)['left_out']}"
        for kind in kinds
        for width in widths
        if "left_out" in _find(record, width, kind)
    ]
    table = draw_table(header, rows, num_words=2) + "\n\n" + _judge(record, kinds, widths)
    return table + "".join(f"\n\nLeft out: {each}." for each in left_out)


def brief_quantised(record: Record) -> str:
    """Return in one sentence whether width and quantisation add up."""
    found = _interactions(record)
    if not found:
        return "Not measured at several widths."
    (kind, width), most = max(found.items(), key=lambda each: each[1])
    return (
        f"Width and quantisation together lose at most {most:.2f} points of accuracy more than the sum of what each "
        f"loses alone ({kind} at width {_name(width)})."
    )


def find_interaction(record: Record, width: float, kind: str) -> float | None:
    """Return the points lost by a width in a kind of numbers beyond the sum of both alone; None where one is missing.

    Zero is what two independent savings would give.
    """
    both, by_width, by_kind = (_lost(record, *each) for each in ((width, kind), (width, _FLOAT), (_FULL, kind)))
    return None if both is None or by_width is None or by_kind is None else both - by_width - by_kind


def _row(record: Record, width: float, kind: str) -> list[str]:
    result, first = _find(record, width, kind), _find(record, _FULL, _FLOAT)
    words = [kind, _name(width)]
    if "score" not in result or "bytes" not in first:
        return [*words, *[MISSING] * 6]
    more, lost = find_interaction(record, width, kind), _lost(record, width, kind)
    together = [MISSING, MISSING]
    if width != _FULL and kind != _FLOAT and more is not None and lost is not None:
        together = [f"{lost - more:.2f}", f"{more:+.2f}"]
    return [
        *words,
        f"{100 * cast('float', result['score']):.2f}",
        f"{result['bytes']:,}",
        f"{cast('int', first['bytes']) / cast('int', result['bytes']):.1f}",
        MISSING if lost is None else f"{lost:.2f}",
        *together,
    ]


def _judge(record: Record, kinds: list[str], widths: list[float]) -> str:
    missed = [
        f"{kind} at width {_name(width)}: {more:.2f}"
        for kind in kinds
        for width in widths
        if (more := find_interaction(record, width, kind)) is not None and more > GOAL
    ]
    verdict = f"Missed by: {'; '.join(missed)}." if missed else "Met."
    return f"Goal: together they lose at most {GOAL} points more than the sum of both alone. {verdict}"


def _interactions(record: Record) -> dict[tuple[str, float], float]:
    found: dict[tuple[str, float], float] = {}
    for cell in record.cells:
        width, kind = cast("float", cell.key["width"]), str(cell.key["kind"])
        more = find_interaction(record, width, kind)
        if more is not None and width != _FULL and kind != _FLOAT:
            found[kind, width] = more
    return found


def _lost(record: Record, width: float, kind: str) -> float | None:
    scores = [_find(record, *each).get("score") for each in ((_FULL, _FLOAT), (width, kind))]
    if scores[0] is None or scores[1] is None:
        return None
    return 100 * (cast("float", scores[0]) - cast("float", scores[1]))


def _find(record: Record, width: float, kind: str) -> Mapping[str, object]:
    return next(iter(find_results(record, width=width, kind=kind)), {})


def _name(width: float) -> str:
    return "full" if width == _FULL else f"1/{round(1 / width)}"
