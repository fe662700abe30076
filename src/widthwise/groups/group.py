"""A width group: parameter axes that must shrink together; and what does not shrink."""

from dataclasses import dataclass

from widthwise.groups.width import units

__all__ = ["FrozenAxis", "Group", "Member", "SizedConstant"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Member:
    """One axis of a parameter or buffer that shrinks with its group."""

    target: str
    axis: int

    def __str__(self) -> str:
        """Return "fc1.weight[0]"."""
        return f"{self.target}[{self.axis}]"


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """Parameter axes that must shrink together.

    Attributes:
        name: The qualified name of the first module that produces the group's units.
        size: The number of units at full width.
        lower_bound: The fewest units that a fraction leaves.
        step: A fraction leaves the lower bound plus a multiple of this, or all units.
        members: The axes that shrink, in the order of the network.
        kind: What its units are: "heads" of an attention, the width of its "query" or "value", queries "shared" by one
            key, a residual "stream", or just "units".
        follows: Whether a fraction of every group moves it, as training draws them; else it moves by name only.
        key: The atom of width inference that the group stands for.
    """

    name: str
    size: int
    lower_bound: int = 1
    step: int = 1
    members: tuple[Member, ...]
    key: int
    kind: str = "units"
    follows: bool = True

    def units_at(self, fraction: float) -> int:
        """Return how many units a fraction of every group leaves of this one: all where it moves by name only."""
        return units(fraction, self.size, self.lower_bound, self.step) if self.follows else self.size


@dataclass(frozen=True, kw_only=True, slots=True)
class FrozenAxis:
    """An axis of a parameter that keeps its size.

    Attributes:
        target: The name of the parameter.
        axis: Which of its axes.
        size: How many positions the axis has.
        reason: Why it keeps them.
        remedy: What would let it shrink, or "nothing: " and why; "" where nothing is known to.
    """

    target: str
    axis: int
    size: str
    reason: str
    remedy: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class SizedConstant:
    """A number in a network that may have come from the size of a group; it stays as it is at every width.

    Attributes:
        place: The operator that takes it.
        value: The number.
        formula: How it follows from the size: "1 / sqrt(64)".
        groups: The groups of that size.
        node: The node of the traced graph that takes it.
        argument: The name of the argument.
    """

    place: str
    value: float
    formula: str
    groups: tuple[str, ...]
    node: str = ""
    argument: str = ""
