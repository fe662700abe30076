"""The order in which the numbers of a tensor are stored, so that every width is a prefix.

Each unit of a width group has a level, the first fraction of the full width that keeps it. A number of a weight is
needed from the level on at which all the units that it stands between are kept: the largest level along its axes.
Numbers are stored by level, and in one level as they lie in the tensor. A level is a shell around those before it: of a
matrix, an angle of new rows and new columns.
"""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from widthwise.graph import Atom, Axes, Frozen, KeptSet, Product, Term, indices

__all__ = ["Births", "axis_levels", "count_by_level", "last_level", "pack", "position_levels", "unpack"]

Births = Mapping[int, Tensor]


def axis_levels(term: Term, births: Births) -> Tensor:
    """Return the level of each position of an axis: that of the last unit of those on which the position depends.

    Args:
        term: What the axis is made of; no size of it is dynamic.
        births: The level of each unit, by the key of its atom; units of others are there from the start.
    """
    if isinstance(term, Atom):
        return births[term.key][: term.size] if term.key in births else torch.zeros(term.size, dtype=torch.int64)
    if isinstance(term, Frozen):
        return torch.zeros(int(term.size), dtype=torch.int64)
    if isinstance(term, Product):
        levels = torch.zeros(1, dtype=torch.int64)
        for factor in term.factors:
            levels = torch.maximum(levels[:, None], axis_levels(factor, births)[None, :]).reshape(-1)
        return levels
    return torch.cat([axis_levels(part, births) for part in term.parts])


def position_levels(axes: Axes, births: Births) -> list[Tensor]:
    """Return the level of each position along every axis of a tensor."""
    return [axis_levels(term, births) for term in axes]


def count_by_level(levels: Sequence[Tensor], num_levels: int) -> list[int]:
    """Return how many numbers of a tensor each level adds.

    Args:
        levels: Of each position along every axis.
        num_levels: How many levels there are.

    Example:
        >>> count_by_level([torch.tensor([0, 1, 2]), torch.tensor([0, 0, 2])], 3)
        [2, 2, 5]
    """
    until = torch.ones(num_levels, dtype=torch.int64)
    for each in levels:
        until = until * torch.bincount(each, minlength=num_levels).cumsum(0)
    return until.diff(prepend=torch.zeros(1, dtype=torch.int64)).tolist()


def pack(tensor: Tensor, levels: Sequence[Tensor]) -> Tensor:
    """Return the numbers of a tensor in the order in which they are stored.

    Example:
        >>> pack(torch.arange(9).reshape(3, 3), [torch.arange(3), torch.arange(3)])
        tensor([0, 1, 3, 4, 2, 5, 6, 7, 8])
    """
    return tensor.reshape(-1)[_order(levels)]


def unpack(stored: Tensor, levels: Sequence[Tensor], axes: Axes, kept: Mapping[int, KeptSet]) -> Tensor:
    """Return the part of a tensor at kept sets from the numbers stored first.

    Args:
        stored: The numbers of as many levels as what is kept needs, or of more.
        levels: Of each position along every axis.
        axes: What the axes are made of.
        kept: The kept set of each atom.
    """
    wanted = [indices(term, kept) for term in axes]
    level = last_level(levels, wanted)
    there = [(each <= level).nonzero().reshape(-1) for each in levels]
    shape = [len(positions) for positions in there]
    box = stored.new_empty(math.prod(shape))
    box[_order([each[positions] for each, positions in zip(levels, there, strict=True)])] = stored[: len(box)]
    box = box.reshape(shape)
    for axis, (positions, some) in enumerate(zip(there, wanted, strict=True)):
        if len(some) != len(positions):
            box = box.index_select(axis, torch.searchsorted(positions, some))
    return box.contiguous()


def last_level(levels: Sequence[Tensor], wanted: Sequence[Tensor]) -> int:
    """Return the level up to which the numbers at some positions along every axis are stored."""
    return max([int(each[some].max()) for each, some in zip(levels, wanted, strict=True) if len(some)], default=0)


def _order(levels: Sequence[Tensor]) -> Tensor:
    every = torch.zeros((), dtype=torch.int64)
    for each in levels:
        every = torch.maximum(every[..., None], each)
    return every.reshape(-1).argsort(stable=True)
