"""Greedy search: from full width down by the least score lost per cost saved, then local moves under the budget.

The descent is that of AutoSlim [Yu and Huang 2019, arXiv 1903.11728], with two changes. Steps are a share of an octave
instead of a number of channels, so that a group of 512 units takes as many as one of 16. And a loss is measured again
only where its group would be next (lazy greedy [Minoux 1978]), since losses grow on the way down: one or two networks
are scored per step instead of one per group.
"""

from collections.abc import Callable, Iterator

from widthwise.curves.groupwise.lattice import Lattice, Load, Units

__all__ = ["Losses", "descend", "find_step", "improve"]

Goodness = Callable[[Units], float]
"""The score of the network at given widths, with the sign at which higher is better."""
Losses = dict[int, float]
"""What the last measured step down of each group cost in score, by its place."""

_LEAST = 1e-12


def find_step(lattice: Lattice) -> float:
    """Return the step of a descent in octaves: half of one, less where few groups make steps cheap.

    Example:
        >>> find_step(Lattice(groups=("fc1", "fc2"), rungs=((1, 2), (1, 2)), fractions={}))
        0.125
    """
    return min(0.5, len(lattice.groups) / 16)


def descend(lattice: Lattice, load: Load, goodness: Goodness, start: Units, losses: Losses) -> Units:
    """Return widths that fit, reached from `start` by narrowing one group after the other.

    Args:
        lattice: The widths there are.
        load: What widths cost, as a share of the budget. The narrowest must fit.
        goodness: Scores widths; higher is better.
        start: Where to begin.
        losses: What was measured on the way is kept here; what is there already is a first guess.
    """
    here, step, fresh = start, find_step(lattice), set[int]()
    while load(here) > 1:
        down = _steps_down(lattice, here, step)
        # What is saved beyond the budget is worth nothing.
        saved = {group: load(here) - max(1.0, load(units)) for group, units in down.items()}
        # A latency is noisy: where nothing seems to help, the cheapest step is taken, and the narrowest fits for sure.
        useful = [group for group in down if saved[group] > 0] or [min(down, key=lambda group: load(down[group]))]

        def price(group: int, saved: dict[int, float] = saved) -> tuple[float, float]:
            # What was never measured comes first; a gain in score is noise, and no reason to prefer small savings.
            lost = max(0.0, losses[group]) if group in losses else -1.0
            return lost / max(saved[group], _LEAST), -saved[group]

        best = min(useful, key=price)
        if best in fresh:
            here = down[best]
            fresh.clear()
        else:
            losses[best] = goodness(here) - goodness(down[best])
            fresh.add(best)
    return here


def improve(
    lattice: Lattice,
    load: Load,
    goodness: Goodness,
    start: Units,
    losses: Losses,
    *,
    is_spent: Callable[[], bool] = lambda: False,
) -> Units:
    """Return widths that fit and score no worse than `start`: one group is narrowed, another widened in its place.

    Moves are tried in the order of what the losses of the descent promise, those that only widen among them. It ends
    when twice as many moves as there are groups failed one after the other, or none is left.

    Args:
        lattice: The widths there are.
        load: What widths cost, as a share of the budget.
        goodness: Scores widths; higher is better.
        start: Widths that fit.
        losses: Of the descent.
        is_spent: Whether nothing more may be scored.
    """
    here, failed, patience = start, set[Units](), 2 * len(lattice.groups)
    num_failed = 0
    while True:
        for move in _moves(lattice, load, here, losses):
            if move in failed:
                continue
            if is_spent() or num_failed >= patience:
                return here
            if goodness(move) > goodness(here):
                here, num_failed = move, 0
                break
            failed.add(move)
            num_failed += 1
        else:
            return here


def _moves(lattice: Lattice, load: Load, here: Units, losses: Losses) -> Iterator[Units]:
    """Yield widths that fit with one group wider than here, and at most one narrower; the most promising first."""
    step = find_step(lattice)
    prices = {
        group: max(0.0, losses.get(group, 0.0)) / max(load(here) - load(units), _LEAST)
        for group, units in _steps_down(lattice, here, step).items()
    }
    places = range(len(lattice.groups))
    # None gives nothing up: what is left of the budget is used first.
    pairs = [(giver, taker) for taker in places for giver in (None, *places) if giver != taker]

    def promise(pair: tuple[int | None, int]) -> float:
        giver, taker = pair
        return prices.get(taker, 0.0) - (0.0 if giver is None else prices.get(giver, 0.0))

    for giver, taker in sorted(pairs, key=promise, reverse=True):
        given = here if giver is None else lattice.shift(here, giver, -step / 2)
        moved = None if given is None else lattice.widen(given, taker, load)
        if moved is not None:
            yield moved


def _steps_down(lattice: Lattice, here: Units, step: float) -> dict[int, Units]:
    shifted = {group: lattice.shift(here, group, -step) for group in range(len(lattice.groups))}
    return {group: units for group, units in shifted.items() if units is not None}
