"""Which of the networks that a search tried are measured in full: the answers, and the front met on the way."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence

from widthwise.curves.groupwise.lattice import Load, Units

__all__ = ["choose_finalists", "find_front"]

# Beside the answers: as many as half octaves from full width to a quarter and on to a sixteenth of the cost.
_ON_FRONT = 8


def choose_finalists(
    goodness: Mapping[Units, float], loads: Sequence[Load], cost: Callable[[Units], float], *, per_budget: int
) -> list[Units]:
    """Return the best networks under each budget, then others of the front, spread evenly over the cost.

    Args:
        goodness: What is known of the networks; higher is better.
        loads: What they cost, as a share of each budget.
        cost: What the front is a front of.
        per_budget: Networks for each budget; the scores of several are too near each other to tell the best.
    """
    chosen: dict[Units, None] = {}
    for load in loads:
        fitting = [units for units in goodness if load(units) <= 1]
        ranked = sorted(fitting, key=lambda units: (-goodness[units], load(units)))
        chosen.update(dict.fromkeys(ranked[:per_budget]))
    front = find_front(goodness, cost)
    chosen.update(dict.fromkeys(_spread(front, cost)))
    return list(chosen)


def find_front(goodness: Mapping[Units, float], cost: Callable[[Units], float]) -> list[Units]:
    """Return the networks that no other equals or beats at the same cost or less, from the cheapest on."""
    best = -math.inf
    front: list[Units] = []
    for units in sorted(goodness, key=lambda units: (cost(units), -goodness[units])):
        if goodness[units] > best:
            best = goodness[units]
            front.append(units)
    return front


def _spread(front: Sequence[Units], cost: Callable[[Units], float]) -> Iterable[Units]:
    """Return some of the front, those nearest to equal ratios of the cost."""
    if len(front) <= _ON_FRONT:
        return front
    low, high = math.log(max(cost(front[0]), 1e-9)), math.log(max(cost(front[-1]), 1e-9))
    wanted = [low + (high - low) * place / (_ON_FRONT - 1) for place in range(_ON_FRONT)]
    return [min(front, key=lambda units: abs(math.log(max(cost(units), 1e-9)) - each)) for each in wanted]
