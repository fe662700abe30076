"""A width group: parameter axes that must shrink together."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, overload

from widthwise.groups.width import units

__all__ = ["FrozenAxis", "Group", "Groups", "Member", "SizedConstant"]


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
        members: The axes that shrink, in the order of the network.
        kind: What its units are: "heads" of an attention, the width of its "query" or "value", queries "shared" by one
            key, a residual "stream", or just "units".
        follows: Whether a fraction of every group moves it, as training draws them; else it moves by name only.
        key: The atom of width inference that the group stands for.
    """

    name: str
    size: int
    lower_bound: int = 1
    members: tuple[Member, ...]
    key: int
    kind: str = "units"
    follows: bool = True

    def units_at(self, fraction: float) -> int:
        """Return how many units a fraction of every group leaves of this one: all where it moves by name only."""
        return units(fraction, self.size, self.lower_bound) if self.follows else self.size


@dataclass(frozen=True, kw_only=True, slots=True)
class FrozenAxis:
    """An axis of a parameter that keeps its size, and why."""

    target: str
    axis: int
    size: str
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class SizedConstant:
    """A number in a network that may have come from the size of a group; it stays as it is at every width.

    Attributes:
        place: The operator that takes it.
        value: The number.
        formula: How it follows from the size: "1 / sqrt(64)".
        groups: The groups of that size.
    """

    place: str
    value: float
    formula: str
    groups: tuple[str, ...]


class Groups(Sequence[Group]):
    """The width groups of a network, in the order in which it produces them; look one up by position or by name.

    Attributes:
        frozen: The parameter axes that keep their size, with their reasons.
        constants: Numbers that may have come from the size of a group, and stay as they are.
    """

    def __init__(
        self, groups: Sequence[Group], frozen: Sequence[FrozenAxis], constants: Sequence[SizedConstant] = ()
    ) -> None:
        self._groups = tuple(groups)
        self.frozen = tuple(frozen)
        self.constants = tuple(constants)

    def __len__(self) -> int:
        """Return the number of groups."""
        return len(self._groups)

    @overload
    def __getitem__(self, index: int | str) -> Group: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Group, ...]: ...
    def __getitem__(self, index: int | str | slice) -> Group | tuple[Group, ...]:
        """Return a group by position or by name.

        Raises:
            KeyError: No group has that name.
        """
        if isinstance(index, str):
            for group in self._groups:
                if group.name == index:
                    return group
            raise KeyError(f"expected the name of a width group, got {index!r}; the groups are {', '.join(self.sizes)}")
        return self._groups[index]

    def __iter__(self) -> Iterator[Group]:
        """Iterate over the groups."""
        return iter(self._groups)

    @property
    def sizes(self) -> dict[str, int]:
        """The number of units of each group at full width, by name."""
        return {group.name: group.size for group in self._groups}

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values, for JSON."""
        return {
            "groups": [
                {
                    "name": group.name,
                    "size": group.size,
                    "lower_bound": group.lower_bound,
                    "kind": group.kind,
                    "follows": group.follows,
                    "members": [str(member) for member in group.members],
                }
                for group in self._groups
            ],
            "frozen": [
                {"target": axis.target, "axis": axis.axis, "size": axis.size, "reason": axis.reason}
                for axis in self.frozen
            ],
            "constants": [
                {"place": each.place, "value": each.value, "formula": each.formula, "groups": list(each.groups)}
                for each in self.constants
            ],
        }

    def __repr__(self) -> str:
        """Return tables: the groups with their sizes and members, what is frozen and why, constants to look at."""
        rows: list[tuple[str, ...]] = [("group", "units", "moves", "members")]
        rows += [
            (
                group.name,
                str(group.size),
                "by width" if group.follows else "by name",
                ", ".join(map(str, group.members)),
            )
            for group in self._groups
        ]
        lines = _columns(rows if any(not group.follows for group in self._groups) else [_drop(row, 2) for row in rows])
        if self.frozen:
            rows = [(f"{axis.target}[{axis.axis}]", axis.size, axis.reason) for axis in self.frozen]
            lines += ["", *_columns([("frozen", "size", "why"), *rows])]
        if self.constants:
            rows = [
                (f"{each.value:g}", f"{each.formula} of {', '.join(each.groups)}", each.place)
                for each in self.constants
            ]
            lines += ["", *_columns([("constant", "maybe", "kept as it is by"), *rows])]
        return "\n".join(lines)


def _drop(row: tuple[str, ...], column: int) -> tuple[str, ...]:
    return (*row[:column], *row[column + 1 :])


def _columns(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
