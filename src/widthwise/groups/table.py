"""The groups of a network as text: a line per group, per reason why axes are frozen, and per constant to look at."""

import re
from collections.abc import Sequence

from widthwise.groups.group import FrozenAxis, Group, SizedConstant

__all__ = ["list_constants", "list_frozen", "list_groups"]

# As many names as a line holds; the rest is a number.
_MOST_MEMBERS = 4
_MOST_FROZEN = 3


def list_groups(groups: Sequence[Group]) -> list[str]:
    """Return the lines that tell each group, its size and its first members."""
    rows: list[tuple[str, ...]] = [("group", "units", "moves", "members")]
    rows += [
        (
            group.name,
            str(group.size),
            "by width" if group.follows else "by name",
            _shorten([str(member) for member in group.members], _MOST_MEMBERS),
        )
        for group in groups
    ]
    return _align(rows if any(not group.follows for group in groups) else [_drop(row, 2) for row in rows])


def list_frozen(frozen: Sequence[FrozenAxis]) -> list[str]:
    """Return one line per reason: how many axes, of which sizes, what would unfreeze them, and the first of them.

    Reasons that differ only in the line of the user's source are one.
    """
    alike: dict[tuple[str, str], list[FrozenAxis]] = {}
    for axis in frozen:
        alike.setdefault((_drop_place(axis.reason), axis.remedy), []).append(axis)
    rows = [("frozen because", "axes", "size", "to unfreeze", "which")]
    for (short, remedy), axes in alike.items():
        reasons = {axis.reason for axis in axes}
        sizes = list(dict.fromkeys(axis.size for axis in axes))
        rows.append(
            (
                reasons.pop() if len(reasons) == 1 else short,
                str(len(axes)),
                ", ".join(sizes[:_MOST_FROZEN]) + (", ..." if len(sizes) > _MOST_FROZEN else ""),
                remedy,
                _shorten(_merge_axes(axes), _MOST_FROZEN),
            )
        )
    return _align(rows)


def list_constants(constants: Sequence[SizedConstant]) -> list[str]:
    """Return the lines that tell which numbers may have come from the size of a group."""
    rows = [
        (f"{each.value:g}", f"{each.formula} of {_shorten(each.groups, _MOST_FROZEN)}", each.place)
        for each in constants
    ]
    return _align([("constant", "maybe", "kept as it is by"), *rows])


def _shorten(names: Sequence[str], most: int) -> str:
    # "and 1 more" is no shorter than the name that it stands for.
    if len(names) <= most + 1:
        return ", ".join(names)
    return f"{', '.join(names[:most])} and {len(names) - most} more"


def _merge_axes(axes: Sequence[FrozenAxis]) -> list[str]:
    """Return the axes with those of one parameter as one name: "conv.weight[2, 3]"."""
    by_target: dict[str, list[str]] = {}
    for axis in axes:
        by_target.setdefault(axis.target, []).append(str(axis.axis))
    return [f"{target}[{', '.join(numbers)}]" for target, numbers in by_target.items()]


def _drop_place(reason: str) -> str:
    """Return a reason without the line of source that a `Call` writes into it: " (net.py:12)"."""
    return re.sub(r" \([^()]+:\d+\)", "", reason)


def _drop(row: tuple[str, ...], column: int) -> tuple[str, ...]:
    return (*row[:column], *row[column + 1 :])


def _align(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
