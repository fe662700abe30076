"""The ladder that a choice by evidence goes down: full width first, then narrower and narrower."""

import math
from collections.abc import Iterable

from widthwise._shared import CurveError
from widthwise.curves.grid import Candidate, Width, make_candidates
from widthwise.curves.sweep import Sweepable

__all__ = ["make_ladder", "quarter_octaves"]


def quarter_octaves(lowest: float) -> list[float]:
    """Return 2^-1/4, 2^-1/2, ... down to `lowest`, and `lowest` itself.

    Example:
        >>> [round(fraction, 3) for fraction in quarter_octaves(0.6)]
        [0.841, 0.707, 0.6]
    """
    fractions = [2.0 ** (-step / 4) for step in range(1, math.floor(-4 * math.log2(lowest)) + 1)]
    return fractions if fractions and math.isclose(fractions[-1], lowest) else [*fractions, lowest]


def make_ladder(model: Sweepable, widths: Iterable[Width] | None) -> list[Candidate]:
    """Return full width, and after it the distinct networks among the widths, from the most MACs to the fewest.

    Args:
        model: A trained elastic model.
        widths: None takes quarter octaves down to the smallest fraction that was trained.

    Raises:
        CurveError: Where there is none but full width.
        WidthError: Where the model cannot run at one of them.
    """
    full, *rungs = make_candidates(model, [1.0, *(quarter_octaves(model.law.lowest) if widths is None else widths)])
    if not rungs:
        raise CurveError("expected widths to choose from beside full width, got none; give some, or None for a ladder")
    return [full, *sorted(rungs, key=lambda rung: (-model.macs(rung.widths), -sum(rung.widths.values())))]
