"""Width groups that a person names by patterns of parameter names, for networks that cannot be traced."""

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import final

from torch import nn

from widthwise._shared import GroupError
from widthwise.graph import Atom, Axes, Frozen, Term, atoms_of, size_of
from widthwise.groups.collection import Groups
from widthwise.groups.find import unique_names
from widthwise.groups.group import FrozenAxis, Group, Member
from widthwise.groups.remedy import find_remedy
from widthwise.groups.shape import AxisShape, parse_shape

__all__ = ["Declaration", "DeclaredGroups", "NumberAxes", "declare_groups"]

# Patterns of names, each with the shape in which the width stands, or the axis that it is.
Declaration = Mapping[str, str | int]
Numbers = int | tuple[int, ...]

_UNNAMED = "named by no group"


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class NumberAxes:
    """A whole number, or several, that a module remembers and that depends on a width.

    Attributes:
        module: The path of the module.
        name: The attribute.
        full: Its value at full width.
        terms: What each of its numbers is made of.
    """

    module: str
    name: str
    full: Numbers
    terms: Axes


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class DeclaredGroups:
    """What a person said of a network.

    Attributes:
        groups: The width groups.
        axes: The axes of every parameter and buffer in them, by each of its names.
        numbers: The numbers that depend on them.
    """

    groups: Groups
    axes: Mapping[str, Axes]
    numbers: tuple[NumberAxes, ...]


def declare_groups(
    net: nn.Module, declarations: Sequence[Declaration], unsound: Mapping[str, str] | None = None
) -> DeclaredGroups:
    """Return the groups that declarations name.

    Args:
        net: The network.
        declarations: One per group, or per family of groups: patterns of the names of parameters, buffers and numbers
            that modules remember, with their shapes (`widthwise.groups.shape`). `*` stands for anything, but for no
            number of a module; `{}` for one part of a name between dots, and each value of it makes a group of its own.
        unsound: Groups that keep their size after all, with the reason.

    Raises:
        GroupError: A pattern matches nothing, a shape does not fit, an axis is claimed twice, or no group is left.
    """
    things = dict(_list_things(net))
    families = [each for declaration in declarations for each in _match_all(declaration, things)]
    if not families:
        raise GroupError("expected at least one group in groups=, got none; name the parameters of one")
    titles = unique_names([_title(next(iter(family))) for family in families])
    draft = _Draft(things, unsound or {})
    for key, (title, family) in enumerate(zip(titles, families, strict=True)):
        draft.add(key, title, family)
    return draft.finish(net)


class _Draft:
    """The axes as they are claimed, group by group."""

    def __init__(self, things: "dict[str, _Thing]", unsound: Mapping[str, str]) -> None:
        self._things = things
        self._unsound = unsound
        self._axes: dict[object, list[Term]] = {
            thing.key: [Frozen(size, _UNNAMED) for size in thing.sizes] for thing in things.values()
        }
        self._groups: list[Group] = []

    def add(self, key: int, title: str, family: Mapping[str, str | int]) -> None:
        """Claim the axes of one group."""
        shapes = {
            name: parse_shape(text, len(self._things[name].sizes), f"{name} {list(self._things[name].sizes)}")
            for name, text in family.items()
        }
        size = _solve(shapes, self._things)
        reason = self._unsound.get(title)
        atom = Atom(key, size) if reason is None else None
        claimed: set[tuple[object, int]] = set()
        for name, axes in shapes.items():
            thing = self._things[name]
            for axis, shape in enumerate(axes):
                # A tied tensor is claimed under each of its names.
                if shape.names and (thing.key, axis) not in claimed:
                    self._claim(name, thing, axis, shape.to_term(thing.sizes[axis], atom, reason or _UNNAMED))
                    claimed.add((thing.key, axis))
        if atom is not None:
            members = [
                Member(target=name, axis=axis)
                for name, thing in self._things.items()
                for axis in range(len(thing.sizes))
                if not thing.is_number and (thing.key, axis) in claimed
            ]
            self._groups.append(Group(name=title, size=size, members=tuple(members), key=key))

    def finish(self, net: nn.Module) -> DeclaredGroups:
        """Return what was claimed."""
        parameters = {name for name, _ in net.named_parameters(remove_duplicate=False)}
        frozen = [
            FrozenAxis(target=name, axis=axis, size=str(term.size), reason=term.reason, remedy=find_remedy(term.reason))
            for name, thing in self._things.items()
            if name in parameters
            for axis, term in enumerate(self._axes[thing.key])
            if isinstance(term, Frozen) and size_of(term) != 1
        ]
        if not self._groups:
            listed = "; ".join(f"{name}: {reason}" for name, reason in self._unsound.items())
            raise GroupError(f"expected a group that can shrink, got none ({listed}); name other parameters in groups=")
        axes = {name: tuple(self._axes[thing.key]) for name, thing in self._things.items()}
        cut = {name: terms for name, terms in axes.items() if any(any(atoms_of(term)) for term in terms)}
        return DeclaredGroups(
            groups=Groups(self._groups, frozen),
            axes={name: terms for name, terms in cut.items() if not self._things[name].is_number},
            numbers=tuple(
                NumberAxes(
                    module=name.rpartition(".")[0],
                    name=name.rpartition(".")[2],
                    full=self._things[name].full,
                    terms=terms,
                )
                for name, terms in cut.items()
                if self._things[name].is_number
            ),
        )

    def _claim(self, name: str, thing: "_Thing", axis: int, term: Term) -> None:
        there = self._axes[thing.key][axis]
        if there != Frozen(thing.sizes[axis], _UNNAMED):
            raise GroupError(
                f"expected each axis to belong to one group, got {name}[{axis}] in two of groups=; name it in one, "
                "and what shrinks together in the same"
            )
        self._axes[thing.key][axis] = term


@dataclass(frozen=True, kw_only=True, slots=True)
class _Thing:
    """A tensor or a number that a pattern may name; `key` tells one under several names."""

    key: object
    sizes: tuple[int, ...]
    is_number: bool = False
    full: Numbers = 0


def _list_things(net: nn.Module) -> Iterator[tuple[str, _Thing]]:
    for tensors in (net.named_parameters(remove_duplicate=False), net.named_buffers(remove_duplicate=False)):
        for name, tensor in tensors:
            yield name, _Thing(key=id(tensor), sizes=tuple(tensor.shape))
    for path, module in net.named_modules():
        for name, value in vars(module).items():
            if not name.startswith("_") and _holds_numbers(value):
                full = f"{path}.{name}" if path else name
                sizes = value if isinstance(value, tuple) else (value,)
                yield full, _Thing(key=(id(module), name), sizes=sizes, is_number=True, full=value)


def _holds_numbers(value: object) -> bool:
    numbers = value if isinstance(value, tuple) else (value,)
    return bool(numbers) and all(type(number) is int and number > 0 for number in numbers)


def _match_all(declaration: Declaration, things: Mapping[str, _Thing]) -> list[dict[str, str | int]]:
    """Return the groups of one declaration: what it names and how, by what its `{}` stand for."""
    found: dict[tuple[str, ...], dict[str, str | int]] = {}
    counts = {pattern.count("{}") for pattern in declaration}
    if len(counts) > 1:
        raise GroupError(
            f"expected as many {{}} in every pattern of a group, got {', '.join(map(repr, declaration))}; each {{}} "
            "tells groups apart, and * stands for anything"
        )
    for pattern, shape in declaration.items():
        expression = re.compile(re.escape(pattern).replace(r"\{\}", "([^.]+)").replace(r"\*", ".*"))
        # A number is meant only where its name is spelt out: layers remember many.
        meant = [name for name, thing in things.items() if not thing.is_number or "*" not in pattern.rpartition(".")[2]]
        matched = [(name, match) for name in meant if (match := expression.fullmatch(name))]
        if not matched:
            near = difflib.get_close_matches(pattern, things, n=1, cutoff=0)
            raise GroupError(
                f"expected {pattern!r} of groups= to match a parameter, a buffer or a number of a module, got none; "
                f"the nearest name is {near[0] if near else 'not there'!r}"
            )
        for name, match in matched:
            found.setdefault(match.groups(), {})[name] = shape
    return list(found.values())


def _solve(shapes: Mapping[str, Sequence[AxisShape]], things: Mapping[str, _Thing]) -> int:
    """Return the one size that a width has in all shapes."""
    names = {name for axes in shapes.values() for axis in axes for name in axis.names}
    if len(names) != 1:
        raise GroupError(
            f"expected one width in the shapes of a group, got {', '.join(sorted(names)) or 'none'} for "
            f"{', '.join(shapes)}; give each width a group of its own"
        )
    sizes = {
        f"{name}[{axis}]": (things[name].sizes[axis], shape.solve(things[name].sizes[axis]))
        for name, axes in shapes.items()
        for axis, shape in enumerate(axes)
        if shape.names
    }
    first = next(units for _, units in sizes.values())
    for place, (size, units) in sizes.items():
        if units is None or units != first:
            told = f"{size}, which no width gives" if units is None else f"{units} ({size} in all)"
            raise GroupError(
                f"expected the same number of units in every member of a group, got {told} at {place}"
                + (f" and {first} at {next(iter(sizes))}" if units is not None else "")
                + "; write the factors of such an axis, as in '(3 n 64) _'"
            )
    assert first is not None
    return first


def _title(name: str) -> str:
    return name.rpartition(".")[0] or name
