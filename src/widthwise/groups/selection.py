"""Which of a network's width groups a user wants to shrink: patterns of names, and kinds that are asked for."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import final

from widthwise._shared import GroupError

__all__ = ["ALL", "Selection"]


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Selection:
    """What a user says about the groups that are found, and the widths that a fraction gives them.

    Attributes:
        stream: Whether residual streams follow a common width; None lets them where the network does not attend.
        queries: Whether the width of queries and keys follows.
        values: Whether the width of the values inside a head follows.
        freeze: Patterns of group or parameter names; what matches keeps its size.
        only: Such patterns; what matches none of them keeps its size.
        round_to: Fractions leave multiples of so many units; 1 for any number.
        unsound: Groups that failed a check, by name, with the reason.
    """

    stream: bool | None = None
    queries: bool = False
    values: bool = False
    freeze: Sequence[str] = ()
    only: Sequence[str] = ()
    round_to: int = 1
    unsound: Mapping[str, str] = field(default_factory=dict[str, str])

    def __post_init__(self) -> None:
        """Hold the patterns as they are now, whatever becomes of a list of them."""
        object.__setattr__(self, "freeze", tuple(self.freeze))
        object.__setattr__(self, "only", tuple(self.only))

    def refuse(self, name: str, members: Iterable[str]) -> str | None:
        """Return why a group of this name and these parameters keeps its size; None where it may shrink."""
        if name in self.unsound:
            return self.unsound[name]
        names = (name, *members)
        for pattern in self.freeze:
            if any(fnmatchcase(each, pattern) for each in names):
                return f"freeze={pattern!r}"
        if self.only and not any(fnmatchcase(each, pattern) for each in names for pattern in self.only):
            return f"matches none of only={list(self.only)}"
        return None

    def check(self, names: Sequence[str]) -> None:
        """Refuse patterns that match nothing: they would change nothing.

        Args:
            names: Of all groups, and of the parameters in them.

        Raises:
            GroupError: One of them matches none.
        """
        for argument, patterns in (("freeze", self.freeze), ("only", self.only)):
            for pattern in patterns:
                if not any(fnmatchcase(name, pattern) for name in names):
                    raise GroupError(
                        f"expected {argument} to match a width group or a parameter of one, got {pattern!r}, which "
                        f"matches none; the groups are {', '.join(dict.fromkeys(names))}"
                    )


ALL = Selection()
