"""The level of each unit: how many steps a fraction of all groups takes from the narrowest network until it is kept."""

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction

import torch
from torch import Tensor

from widthwise.groups import Group

__all__ = ["find_births"]


def find_births(groups: Sequence[Group], lowest: Mapping[str, int]) -> dict[int, Tensor]:
    """Return the level of each unit of every group, by the position of the group.

    Level 0 is the narrowest network; each level after it is a fraction at which some group gains units. The units of a
    fraction are those up to its level, by the same rounding that gives its widths.

    Args:
        groups: The width groups.
        lowest: The units of each group in the narrowest network, by name.

    Example:
        >>> groups = [Group(name="a", size=2, members=(), key=0), Group(name="b", size=4, members=(), key=1)]
        >>> find_births(groups, {"a": 1, "b": 1})
        {0: tensor([0, 3]), 1: tensor([0, 1, 2, 4])}
    """
    gains = [list(_find_gains(group, lowest[group.name])) for group in groups]
    fractions = sorted({fraction for every in gains for fraction, _, _ in every})
    level = {fraction: i for i, fraction in enumerate(fractions, start=1)}
    births: dict[int, Tensor] = {}
    for position, (group, every) in enumerate(zip(groups, gains, strict=True)):
        births[position] = torch.zeros(group.size, dtype=torch.int64)
        for fraction, before, after in every:
            births[position][before:after] = level[fraction]
    return births


def _find_gains(group: Group, lowest: int) -> Iterator[tuple[Fraction, int, int]]:
    """Yield each fraction at which a group gains units, with their numbers before and after."""
    if not group.follows:
        return
    widths = [width for width in (*range(group.lower_bound, group.size, group.step), group.size) if width > lowest]
    before = lowest
    for width in widths:
        # Half way between two widths the wider one is the nearer: `widthwise.groups.units`.
        yield Fraction(before + width, 2 * group.size), before, width
        before = width
