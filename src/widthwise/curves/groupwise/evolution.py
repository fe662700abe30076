"""Evolutionary search as in Once-for-All [Cai et al. 2020, arXiv 1908.09791]: the reference that greedy has to beat.

A quarter of the population are parents; half of the children are mutations of one, half are crossed from two. Where the
publication draws until a network keeps to its constraint, ours are cut down to the budget and widened to fill it, so
that no tryout is spent on networks far below it; and the widest common fraction is among the first.
"""

from collections.abc import Callable

import torch

from widthwise.curves.groupwise.lattice import PER_OCTAVE, Lattice, Load, Units

__all__ = ["POPULATION", "evolve"]

POPULATION = 32
_PARENTS = 0.25
# The publication's share of what is drawn anew in a child.
_MUTATED = 0.1
_FILLED = 3
# A small space is soon used up: children that are there already are drawn again so many times.
_ATTEMPTS = 20


def evolve(
    lattice: Lattice,
    load: Load,
    goodness: Callable[[Units], float],
    generator: torch.Generator,
    *,
    is_spent: Callable[[], bool],
) -> Units:
    """Return the best widths that fit among those that were tried.

    Args:
        lattice: The widths there are.
        load: What widths cost, as a share of the budget. The narrowest must fit.
        goodness: Scores widths; higher is better.
        generator: Draws them.
        is_spent: Whether nothing more may be scored.
    """
    nursery = _Nursery(lattice, load, generator)
    common = lattice.find_common(load)
    scores = {common: goodness(common)}

    def grow(make: Callable[[], Units]) -> bool:
        """Score a new network; False where there is none, or no tryout left."""
        child = next((units for units in (make() for _ in range(_ATTEMPTS)) if units not in scores), None)
        if child is None or is_spent():
            return False
        scores[child] = goodness(child)
        return True

    while len(scores) < POPULATION and grow(nursery.draw):
        pass
    is_growing = True
    while is_growing:
        parents = _best(scores)
        is_growing = all(grow(lambda: nursery.breed(parents)) for _ in range(POPULATION))  # noqa: B023 called here
    return max(scores, key=scores.__getitem__)


def _best(scores: dict[Units, float]) -> list[Units]:
    ranked = sorted(scores, key=scores.__getitem__, reverse=True)
    return ranked[: max(2, round(_PARENTS * POPULATION))]


class _Nursery:
    """Draws networks that fit."""

    def __init__(self, lattice: Lattice, load: Load, generator: torch.Generator) -> None:
        self._lattice = lattice
        self._load = load
        self._generator = generator

    def draw(self) -> Units:
        """Return a common fraction with every group up to an octave off it."""
        common = list(self._lattice.fractions)
        return self._fit(self._jitter(common[self._pick(len(common))], 1.0))

    def breed(self, parents: list[Units]) -> Units:
        """Return a mutation of one parent, or what was crossed from two; either is as likely."""
        one, other = parents[self._pick(len(parents))], parents[self._pick(len(parents))]
        if self._pick(2):
            return self._fit(self._jitter(one, _MUTATED))
        return self._fit(tuple(pair[self._pick(2)] for pair in zip(one, other, strict=True)))

    def _jitter(self, units: Units, share: float) -> Units:
        """Return the widths with a share of the groups, one at least, moved by up to an octave."""
        count = len(units)
        chosen = torch.rand(count, generator=self._generator) < share
        chosen[self._pick(count)] = True
        octaves = 2 * torch.rand(count, generator=self._generator) - 1
        for group in range(count):
            if chosen[group]:
                units = self._lattice.shift(units, group, float(octaves[group])) or units
        return units

    def _fit(self, units: Units) -> Units:
        """Return the widths narrowed together until they fit, then some groups widened to use what is left."""
        fitted = units
        if self._load(units) > 1:
            low, high = 0, 1
            while self._load(self._lattice.scale(units, -high / PER_OCTAVE)) > 1:
                low, high = high, 2 * high
            while high - low > 1:
                middle = (low + high) // 2
                fits = self._load(self._lattice.scale(units, -middle / PER_OCTAVE)) <= 1
                low, high = (low, middle) if fits else (middle, high)
            fitted = self._lattice.scale(units, -high / PER_OCTAVE)
        for group in torch.randperm(len(units), generator=self._generator)[:_FILLED].tolist():
            fitted = self._lattice.widen(fitted, group, self._load) or fitted
        return fitted

    def _pick(self, count: int) -> int:
        return int(torch.randint(count, (1,), generator=self._generator))
