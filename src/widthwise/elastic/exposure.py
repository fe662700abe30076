"""How often each unit takes part in training: the share of the samples that run through it.

The first units of a group take part in every step, the last ones where a wide network is drawn.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from widthwise.elastic.drawing import Drawing
from widthwise.elastic.laws.law import Law
from widthwise.groups import Groups

__all__ = ["measure_exposure"]

# A law without strata takes these. Tosses remain, so that a share is known to 0.5 / sqrt(4 * 4096) = 0.004, or better.
_NUM_ROUNDS, _NUM_STRATA = 4, 4096
# Of a law whose steps have strata of their own, and a part at full width: to 0.25 / sqrt(2048) = 0.006, or better.
_NUM_STEPS = 2048


def measure_exposure(groups: Groups, law: Law, reached: frozenset[str]) -> dict[str, Tensor]:
    """Return the share of samples in which each unit takes part, by the name of its group.

    Drawn many times from a generator of its own, so that the same law has the same shares. A sample that runs at
    several widths counts once for each. What a slow start does before the law holds is left out.

    Args:
        groups: All width groups.
        law: Draws the widths.
        reached: The names of those that it draws; units of others take part always.

    Returns:
        Numbers in [0, 1], in float64; they never rise along the units of a group. 0 is that of a unit that is never
        drawn, as under laws that never draw the full width.
    """
    counts = {name: Counter[int]() for name in groups.sizes}
    for widths in _draw(groups, law, reached):
        for name, kept in widths.items():
            counts[name][kept] += 1
    return {name: _share(counts[name], size) for name, size in groups.sizes.items()}


def _draw(groups: Groups, law: Law, reached: frozenset[str]) -> Iterator[dict[str, int]]:
    generator = torch.Generator().manual_seed(0)
    if law.is_random:
        # The same distribution, a stratum for each of many samples in place of one for all.
        law = replace(law, chunks="each")
    is_each = law.chunks == "each"
    for _ in range(_NUM_ROUNDS if is_each else _NUM_STEPS):
        yield from Drawing(law, groups, reached, generator).widths(_NUM_STRATA if is_each else None)


def _share(counts: Counter[int], size: int) -> Tensor:
    ended = torch.zeros(size + 1, dtype=torch.float64)
    for kept, number in counts.items():
        ended[kept] = number
    return ended.flip(0).cumsum(0).flip(0)[1:] / ended.sum()
