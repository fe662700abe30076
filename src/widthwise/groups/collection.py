"""The width groups of a network: a sequence of them, with what is frozen beside it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, overload

from widthwise.graph import Counts
from widthwise.groups.group import FrozenAxis, Group, SizedConstant
from widthwise.groups.table import list_constants, list_frozen, list_groups

__all__ = ["Groups"]


class Groups(Sequence[Group]):
    """The width groups of a network, in the order in which it produces them; look one up by position or by name.

    Attributes:
        frozen: The parameter axes that keep their size, with their reasons and what would let them shrink.
        constants: Numbers that may have come from the size of a group, but are not known to, and stay as they are.
        summed: The axis of a parameter over which the operators that read it sum, by its name, where they tell.
    """

    def __init__(
        self,
        groups: Sequence[Group],
        frozen: Sequence[FrozenAxis],
        constants: Sequence[SizedConstant] = (),
        summed: Mapping[str, int] | None = None,
    ) -> None:
        self._groups = tuple(groups)
        self.frozen = tuple(frozen)
        self.constants = tuple(constants)
        self.summed = dict(summed or {})

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

    def rounded_to(self, multiple: int) -> "Groups":
        """Return the groups with fractions that leave multiples of so many units, heads excepted, or all of them."""
        rounded = [
            replace(group, lower_bound=min(group.size, -(-group.lower_bound // multiple) * multiple), step=multiple)
            if multiple > 1 and group.kind in ("units", "stream")
            else group
            for group in self._groups
        ]
        return Groups(rounded, self.frozen, self.constants, self.summed)

    def without(self, counts: Counts) -> "Groups":
        """Return the groups without those constants that are known to follow from widths."""
        known = {(node.name, argument) for node, arguments in counts.items() for argument in arguments}
        left = [each for each in self.constants if (each.node, each.argument) not in known]
        return Groups(self._groups, self.frozen, left, self.summed)

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
                {
                    "target": axis.target,
                    "axis": axis.axis,
                    "size": axis.size,
                    "reason": axis.reason,
                    "remedy": axis.remedy,
                }
                for axis in self.frozen
            ],
            "constants": [
                {"place": each.place, "value": each.value, "formula": each.formula, "groups": list(each.groups)}
                for each in self.constants
            ],
        }

    def __repr__(self) -> str:
        """Return tables: the groups with their first members, reasons why axes are frozen, constants to look at."""
        lines = list_groups(self._groups)
        if self.frozen:
            lines += ["", *list_frozen(self.frozen)]
        if self.constants:
            lines += ["", *list_constants(self.constants)]
        return "\n".join(lines)
