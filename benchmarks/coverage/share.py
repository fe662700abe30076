"""Which share of a network's parameters can shrink, from the axes that belong to a group and the reasons of the others.

A parameter counts as one that can shrink if at least one of its axes belongs to a group. One of which every axis is an
input, an output or a vocabulary of the network, or the window of a convolution, is outside: nothing in it is a width.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import asdict, dataclass
from math import prod

__all__ = ["Axis", "Shares", "count_reasons", "count_shares"]

Axis = tuple[str, int]

_EDGES = ("output of the model", "input of the model", "addresses its vocabulary by number")
_WINDOWS = ("slides along this axis", "has a kernel of this size")
# Where an operator stands in the source of the network.
_PLACE = re.compile(r" \([^()]*:\d+\)")


@dataclass(frozen=True, kw_only=True, slots=True)
class Shares:
    """How a network's parameters divide.

    Attributes:
        num_parameters: All of them, tied ones once.
        num_outside: Those of which no axis is a width.
        num_in_groups: Those with an axis in a group.
        num_at_edge: Of these, those that have an input, an output or a vocabulary as another axis: they halve where
            others quarter.
    """

    num_parameters: int
    num_outside: int
    num_in_groups: int
    num_at_edge: int

    @property
    def inside(self) -> float:
        """The share in groups of all that are not outside."""
        return self.num_in_groups / max(1, self.num_parameters - self.num_outside)

    @property
    def whole(self) -> float:
        """The share in groups of all."""
        return self.num_in_groups / max(1, self.num_parameters)

    @property
    def frozen(self) -> float:
        """The share of all that keeps its size: those in no group, and half of those at an edge."""
        return 1 - self.whole + self.num_at_edge / 2 / max(1, self.num_parameters)

    def to_dict(self) -> dict[str, int]:
        """Return the numbers, for JSON."""
        return asdict(self)


def count_shares(shapes: Mapping[str, Sequence[int]], members: Set[Axis], frozen: Mapping[Axis, str]) -> Shares:
    """Return how parameters divide.

    Args:
        shapes: Of each parameter, by name.
        members: The axes that belong to a group.
        frozen: The reasons of axes that do not; one without a reason holds its parameter inside.
    """
    outside = in_groups = at_edge = 0
    for name, shape in shapes.items():
        free = [axis for axis in range(len(shape)) if (name, axis) in members]
        held = [axis for axis in range(len(shape)) if axis not in free and shape[axis] != 1]
        edges = [axis for axis in held if _is_edge(frozen.get((name, axis), ""))]
        windows = [axis for axis in held if _is_window(axis, frozen.get((name, axis), ""))]
        if free:
            in_groups += prod(shape)
            at_edge += prod(shape) if edges else 0
        elif len(edges) + len(windows) == len(held):
            outside += prod(shape)
    total = sum(prod(shape) for shape in shapes.values())
    return Shares(num_parameters=total, num_outside=outside, num_in_groups=in_groups, num_at_edge=at_edge)


def count_reasons(frozen: Mapping[Axis, str]) -> dict[str, int]:
    """Return how many axes each reason holds, most first; edges and windows are left out, places in the source too."""
    reasons = (
        _PLACE.sub("", reason)
        for (_, axis), reason in frozen.items()
        if not _is_edge(reason) and not _is_window(axis, reason)
    )
    return dict(Counter(reasons).most_common())


def _is_edge(reason: str) -> bool:
    return any(edge in reason for edge in _EDGES)


def _is_window(axis: int, reason: str) -> bool:
    return axis >= 2 and any(window in reason for window in _WINDOWS)
