"""Resolve what a user calls a width into units per group."""

import difflib
import math
from collections.abc import Mapping
from numbers import Integral
from typing import Any, Protocol, runtime_checkable

from widthwise._shared import WidthError
from widthwise.groups import Group, Groups, units

__all__ = ["HasWidths", "Width", "is_common_fraction", "mean_fraction", "resolve_widths"]


@runtime_checkable
class HasWidths(Protocol):
    """A point of a curve: it knows the units of every group."""

    @property
    def widths(self) -> Mapping[str, int]:
        """Units per group."""
        ...


Width = float | Mapping[str, int | float] | HasWidths


def resolve_widths(width: Any, groups: Groups) -> dict[str, int]:
    """Return the units of every group at a width.

    Args:
        width: A float in (0, 1] is that fraction of every group; a mapping names groups with units (int) or a fraction
            (float), others stay full; a point of a curve.
        groups: The width groups of the model.

    Raises:
        WidthError: A width out of range, an unknown group, or another type; a bare int included.
    """
    first = groups[0]
    if isinstance(width, float):
        half = units(0.5, first.size, first.lower_bound, first.step)
        remedy = f"0.5 keeps half of the units ({half} of {first.size} in {first.name}), 1.0 all"
        _check_fraction(width, "a width as a fraction of every group", remedy)
        return {group.name: group.units_at(width) for group in groups}
    if isinstance(width, HasWidths):
        width = width.widths
    if not isinstance(width, Mapping):
        full = "write 1.0 for full width, " if isinstance(width, Integral) and width == 1 else ""
        raise WidthError(
            "a width must be a fraction in (0, 1], a dict of group names or a point of a curve, got "
            f"{_show(width)}; {full}for units of one group write {{{first.name!r}: {min(4, first.size)}}} "
            f"({first.name} has 1 to {first.size})"
        )
    sizes = groups.sizes
    for name in width:
        if name not in sizes:
            near = difflib.get_close_matches(str(name), sizes, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"the groups are {', '.join(sizes)}"
            raise WidthError(f"expected the name of a width group, got {name!r}; {hint}")
    return {group.name: _resolve_one(width.get(group.name, group.size), group) for group in groups}


def mean_fraction(widths: Mapping[str, int], groups: Groups) -> float:
    """Return the geometric mean of the fractions that the groups keep which follow a common one."""
    logs = [math.log(widths[group.name] / group.size) for group in groups if group.follows]
    return math.exp(sum(logs) / len(logs))


def is_common_fraction(widths: Mapping[str, int], groups: Groups) -> bool:
    """Return whether some fraction of every group gives these widths; those that move by name only must be full.

    Groups that leave multiples only (`round_to`) have no such fraction: their last units come earlier than by rounding.
    """
    least, most = 0.0, math.inf
    for group in groups:
        kept = widths[group.name]
        if kept == group.size and not group.follows:
            continue
        if not group.follows or group.step != 1 or kept < group.lower_bound:
            return False
        if kept > group.lower_bound:
            least = max(least, (kept - 0.5) / group.size)
        if kept < group.size:
            most = min(most, (kept + 0.5) / group.size)
    return least < most


def _resolve_one(value: Any, group: Group) -> int:
    if isinstance(value, float):
        _check_fraction(value, f"a fraction of {group.name} ({group.size} units)", "use 1.0 for the full model")
        return units(value, group.size, group.lower_bound, group.step)
    if isinstance(value, bool) or not isinstance(value, Integral) or not 1 <= int(value) <= group.size:
        raise WidthError(
            f"kept must lie in [1, {group.size}] (width of {group.name}), got {_show(value)}; "
            f"use kept={group.size} for the full model"
        )
    return int(value)


def _check_fraction(value: float, what: str, remedy: str) -> None:
    if not 0 < value <= 1:
        raise WidthError(f"{what} must lie in (0, 1], got {value!r}; {remedy}")


def _show(value: object) -> str:
    """One line for an error message, however large the value is."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 80 else f"{text[:77]}..."
