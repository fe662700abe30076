"""Draw widths: where in its distribution a law stands, chunk by chunk and group by group.

A position is a fraction of the full width (a quantile, where the law is one of units). With several chunks each comes
from a stratum of its own, which removes most of the variance of the draw [Owen 2013, chapter 8, stratified sampling].
"""

import bisect
import math
from collections.abc import Sequence
from typing import Any, Protocol

import torch

from widthwise._shared import WidthError
from widthwise.groups.width import units

__all__ = ["Source", "check_generator", "draw_positions", "pick_below_full", "pick_units"]


class Source(Protocol):
    """What of a law tells where widths are drawn."""

    @property
    def distribution(self) -> str:
        """That of the fractions."""
        ...

    @property
    def sharing(self) -> str:
        """Which groups have a common fraction."""
        ...

    @property
    def lowest(self) -> float:
        """The smallest fraction."""
        ...

    @property
    def p(self) -> float:
        """The probability of truncating."""
        ...

    @property
    def between(self) -> float:
        """The probability of leaving the levels."""
        ...


# Units of a group at full width, its lower bound, and the fewest that a law draws.
Span = tuple[int, int, int]


def check_generator(generator: torch.Generator) -> torch.Generator:
    """Return `generator`, which must be on the CPU, so that a draw never waits for a device; raises WidthError."""
    if generator.device.type != "cpu":
        raise WidthError(f"generator must be on the cpu, got one on {generator.device}; use torch.Generator()")
    return generator


def pick_below_full(quantile: float, size: int, first: int, step: int) -> int:
    """Return one of first, first + step, ... below `size`: each equally likely where `quantile` is uniform in [0, 1).

    `first` must be below `size`.
    """
    count = (size - first + step - 1) // step
    # A quantile next to 1 may round up to 1 in the product.
    return first + step * min(count - 1, int(quantile * count))


def draw_positions(
    law: Source, num_groups: int, num_draws: int, levels: Sequence[float], generator: torch.Generator
) -> list[Sequence[float | None]]:
    """Return, per draw and group, where in the distribution the width lies, the lowest first; None where it is full.

    Args:
        law: Tells distribution, sharing and the probabilities of truncating and of leaving the levels.
        num_groups: Entries of each draw.
        num_draws: As many equal strata.
        levels: The fractions to choose among, ascending; any fraction where there are none.
        generator: On the CPU.
    """
    independent = law.sharing == "independent"
    # One small tensor: a call costs as much as a hundred numbers of it.
    drawn = _draw_uniforms((num_groups if independent else 1, num_draws, 4 if law.between else 3), generator)
    columns = [_fill_strata(law, column, levels, shuffled=independent) for column in drawn]
    rows: list[Sequence[float | None]] = list(zip(*columns, strict=True))
    if independent:
        return rows
    if law.sharing == "shared":
        return [[row[0]] * num_groups for row in rows]
    jitters = _draw_uniforms((num_draws, num_groups), generator)
    # What left the levels stays off them.
    grids = [() if law.between and numbers[3] < law.between else levels for numbers in drawn[0]]
    return [[_jitter(row[0], j, grid) for j in jitter] for row, jitter, grid in zip(rows, jitters, grids, strict=True)]


def pick_units(position: float, span: Span, step: int, *, below_full: bool) -> int:
    """Return the units at a position: the width nearest to that fraction, or a width at that quantile below full."""
    size, lower, first = span
    if first >= size:
        return size
    if below_full:
        return pick_below_full(position, size, first, step)
    return max(first, units(position, size, lower, step))


def _fill_strata(
    law: Source, drawn: list[list[float]], levels: Sequence[float], *, shuffled: bool
) -> list[float | None]:
    """Return one position in each of the equal strata from numbers (place, toss, order, another toss) in [0, 1)."""
    strata: Sequence[int] = range(len(drawn))
    if shuffled:
        strata = sorted(strata, key=lambda i: drawn[i][2])
    return [
        _position(law, (stratum + place) / len(drawn), () if left and left[0] < law.between else levels)
        if toss < law.p
        else None
        for stratum, (place, toss, _, *left) in zip(strata, drawn, strict=True)
    ]


def _position(law: Source, quantile: float, levels: Sequence[float]) -> float:
    """Return the fraction at a quantile, or the quantile itself where the law is one of units, not of fractions."""
    if levels:
        return levels[min(len(levels) - 1, int(quantile * len(levels)))]
    if law.distribution == "log_uniform":
        return law.lowest ** (1 - quantile)
    if law.distribution == "uniform":
        return law.lowest + (1 - law.lowest) * quantile
    return quantile


def _jitter(fraction: float | None, uniform: float, levels: Sequence[float]) -> float | None:
    if fraction is None:
        return None
    # No clip to `lowest` here: no width is picked below it.
    jittered = min(1.0, fraction * 2 ** (2 * uniform - 1))
    return _nearest_level(jittered, levels) if levels else jittered


def _nearest_level(fraction: float, levels: Sequence[float]) -> float:
    """Return the level nearest to a fraction, by their ratio."""
    at = bisect.bisect_left(levels, fraction)
    return min(levels[max(0, at - 1) : at + 1], key=lambda level: abs(math.log(level / fraction)))


def _draw_uniforms(shape: tuple[int, ...], generator: torch.Generator) -> list[list[Any]]:
    return torch.rand(shape, generator=generator, dtype=torch.float64, device="cpu").tolist()
