"""The lattice: the widths that a search may give each group, and the ways up and down between them."""

import math
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from typing import final

from widthwise.curves.grid import HasWidths

__all__ = ["PER_OCTAVE", "Lattice", "Load", "Units", "make_lattice"]

# Steps finer than this are below what a few thousand samples can tell apart.
PER_OCTAVE = 8

Units = tuple[int, ...]
"""Units kept by each group, in the order of the lattice's groups."""
Load = Callable[[Units], float]
"""What widths cost, as a share of what they may cost: they fit where it is at most 1."""


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Lattice:
    """The widths of each group between the narrowest and the widest one.

    They are those that fractions of full width give, an eighth of an octave apart, so that they keep to the step and
    the lower bound of their group. A group that moves by name only has its full width alone.

    Attributes:
        groups: Names of the width groups.
        rungs: The widths of each group, from the narrowest to the widest.
        fractions: The widths that a common fraction gives, with that fraction, from the widest to the narrowest.
    """

    groups: tuple[str, ...]
    rungs: tuple[tuple[int, ...], ...]
    fractions: dict[Units, float]

    @property
    def full(self) -> Units:
        """The widest rung of each group."""
        return tuple(rungs[-1] for rungs in self.rungs)

    @property
    def smallest(self) -> Units:
        """The narrowest rung of each group."""
        return tuple(rungs[0] for rungs in self.rungs)

    @property
    def num_units(self) -> int:
        """How many networks there are."""
        return math.prod(map(len, self.rungs))

    @property
    def half_octaves(self) -> tuple[Units, ...]:
        """The widths that common fractions half an octave apart give, from full width on."""
        octaves = {units: -2 * math.log2(fraction) for units, fraction in self.fractions.items()}
        return tuple(units for units, place in octaves.items() if math.isclose(place, round(place), abs_tol=1e-9))

    def name(self, units: Units) -> dict[str, int]:
        """Return the units by group."""
        return dict(zip(self.groups, units, strict=True))

    def shift(self, units: Units, group: int, octaves: float) -> Units | None:
        """Return the widths with one group moved by about so many octaves, by one rung at least; None at the end."""
        here, rungs = units[group], self.rungs[group]
        ahead = [rung for rung in rungs if (rung > here if octaves > 0 else rung < here)]
        return replace_units(units, group, _nearest(ahead, here * 2**octaves)) if ahead else None

    def scale(self, units: Units, octaves: float) -> Units:
        """Return the widths with every group moved by about so many octaves, as far as its rungs reach."""
        return tuple(_nearest(rungs, here * 2**octaves) for rungs, here in zip(self.rungs, units, strict=True))

    def widen(self, units: Units, group: int, load: Load) -> Units | None:
        """Return the widths with one group as wide as still fits; None where it cannot be wider."""
        rungs = self.rungs[group]
        low, high = bisect_left(rungs, units[group]), len(rungs) - 1
        start = low
        while low < high:
            middle = (low + high + 1) // 2
            if load(replace_units(units, group, rungs[middle])) <= 1:
                low = middle
            else:
                high = middle - 1
        return replace_units(units, group, rungs[low]) if low > start else None

    def find_common(self, load: Load) -> Units:
        """Return the widths of the widest common fraction that fits; the narrowest where none does."""
        common = list(self.fractions)
        low, high = 0, len(common) - 1
        while low < high:
            middle = (low + high) // 2
            if load(common[middle]) <= 1:
                high = middle
            else:
                low = middle + 1
        return common[low]


def make_lattice(model: HasWidths, lowest: float) -> Lattice:
    """Return the lattice of a model, from its smallest trained fraction to full width.

    Args:
        model: Says how many units of each group a fraction keeps.
        lowest: The smallest fraction drawn in training.
    """
    groups = tuple(model.widths(1.0))
    steps = range(math.floor(-PER_OCTAVE * math.log2(lowest) + 1e-9) + 1)
    # Of the fractions that give the same widths, octaves and half octaves are the ones to name them by.
    round_first = sorted(steps, key=lambda step: math.gcd(step, PER_OCTAVE), reverse=True)
    names: dict[Units, float] = {}
    for fraction in [1.0, lowest, *(2.0 ** (-step / PER_OCTAVE) for step in round_first)]:
        widths = model.widths(fraction)
        names.setdefault(tuple(widths[group] for group in groups), fraction)
    fractions = dict(sorted(names.items(), key=lambda name: name[1], reverse=True))
    rungs = tuple(tuple(sorted(set(column))) for column in zip(*fractions, strict=True))
    return Lattice(groups=groups, rungs=rungs, fractions=fractions)


def replace_units(units: Units, group: int, kept: int) -> Units:
    """Return the widths with another number of units of one group."""
    return (*units[:group], kept, *units[group + 1 :])


def _nearest(rungs: list[int] | tuple[int, ...], target: float) -> int:
    """Return the rung with the smallest ratio to the target; the narrower of two."""
    return min(rungs, key=lambda rung: (abs(math.log(rung / target)), rung))
