"""Which widths a sweep looks at: half octaves down to the smallest one trained, each distinct network once."""

import math
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol, final

from widthwise._shared import CurveError, WidthWarning
from widthwise.curves.point import Point

__all__ = ["Candidate", "HasWidths", "Width", "half_octaves", "make_candidates", "octaves", "warn_of_untrained"]

# What a model accepts as a width: a fraction of every group, units or fractions by group, a point of a curve.
Width = float | Mapping[str, int | float] | Point


class HasWidths(Protocol):
    """What is asked of a model here: to turn a width into units per group."""

    def widths(self, width: Width, /) -> dict[str, int]:
        """Return the units per group at a width."""
        ...


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """A width to measure: units per group, and the fraction where it is one (full width is 1.0, nothing else is)."""

    width: float | None
    widths: dict[str, int]

    @property
    def label(self) -> str:
        """The width in words, as of the point that it will be."""
        return Point(width=self.width, widths=self.widths, score=0.0, params=0, macs=0, bytes=0).label


def half_octaves(lowest: float) -> list[float]:
    """Return 1, 2^-1/2, 2^-1, ... down to `lowest`, and `lowest` itself.

    Example:
        >>> half_octaves(0.4)
        [1.0, 0.7071067811865476, 0.5, 0.4]
    """
    return _steps(lowest, 2)


def octaves(lowest: float) -> list[float]:
    """Return 1, 1/2, 1/4, ... down to `lowest`, and `lowest` itself.

    Example:
        >>> octaves(0.2)
        [1.0, 0.5, 0.25, 0.2]
    """
    return _steps(lowest, 1)


def make_candidates(model: HasWidths, widths: Iterable[Width]) -> list[Candidate]:
    """Return the distinct networks among the widths, widest fraction first as given; a fraction stands for equal units.

    Raises:
        CurveError: Where there is none.
        WidthError: Where the model cannot run at one of them.
    """
    full = model.widths(1.0)
    found: dict[tuple[tuple[str, int], ...], Candidate] = {}
    for width in widths:
        units = model.widths(width)
        fraction = 1.0 if units == full else _fraction(width)
        key = tuple(sorted(units.items()))
        if key not in found or (found[key].width is None and fraction is not None):
            found[key] = Candidate(width=fraction, widths=dict(units))
    if not found:
        raise CurveError("expected at least one width to measure, got none; give some, or None for half octaves")
    return list(found.values())


def warn_of_untrained(model: HasWidths, candidates: Iterable[Candidate], lowest: float) -> None:
    """Warn of every candidate with a group narrower than training ever drew it."""
    trained = model.widths(lowest)
    untrained = [one.label for one in candidates if any(one.widths[group] < trained[group] for group in trained)]
    if untrained:
        warnings.warn(
            f"expected widths of at least {lowest:.4g}, the smallest fraction that was trained, "
            f"got {', '.join(untrained)}; scores there are of untrained networks: "
            "ask for wider ones, or train with a smaller `lowest`",
            WidthWarning,
            stacklevel=3,
        )


def _steps(lowest: float, per_octave: int) -> list[float]:
    if not 0 < lowest <= 1:
        raise CurveError(f"expected the smallest width to lie in (0, 1], got {lowest!r}; check the law of the model")
    fractions = [2.0 ** (-step / per_octave) for step in range(math.floor(-per_octave * math.log2(lowest)) + 1)]
    # A lowest fraction that was computed, such as 1 / sqrt(8), may miss its step by a rounding error.
    return fractions if math.isclose(fractions[-1], lowest) else [*fractions, lowest]


def _fraction(width: Width) -> float | None:
    if isinstance(width, Point):
        return width.width
    return None if isinstance(width, Mapping) else float(width)
