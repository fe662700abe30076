"""Where the units of a network stand: in which of its tensors, along which axes."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor, fx, nn

from widthwise.graph import (
    Axes,
    Product,
    StateInput,
    Term,
    arguments_by_name,
    atoms_of,
    count,
    overload_name,
    state_tensor,
)
from widthwise.graph import Sum as Segments
from widthwise.groups import Group, Groups
from widthwise.slicing.declared import DeclaredNetwork
from widthwise.slicing.network import SlicedNetwork
from widthwise.slicing.running.cut import cut
from widthwise.slicing.running.program import Program
from widthwise.slicing.running.table import has_atoms

__all__ = [
    "Place",
    "Units",
    "declared_units",
    "find_makers",
    "find_units",
    "find_weights",
    "holds",
    "number_units",
    "sum_by_unit",
]


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Place:
    """A parameter or buffer that holds something of each unit.

    Attributes:
        tensor: Itself.
        axes: What each of its axes is made of.
        summed: The axis over which whatever reads it sums, so that it reads units there; None where nothing tells.
    """

    tensor: Tensor
    axes: Axes
    summed: int | None = None

    @property
    def is_parameter(self) -> bool:
        """Whether it is a parameter."""
        return isinstance(self.tensor, nn.Parameter)

    def axes_of(self, group: Group) -> list[int]:
        """Return the axes along which it holds units of a group."""
        return [axis for axis, term in enumerate(self.axes) if holds(term, group)]


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Units:
    """The units of a network.

    Attributes:
        groups: Its width groups.
        places: Every tensor that holds units, once.
        fixed: Groups whose units must stay in their order, with the reason.
    """

    groups: Groups
    places: tuple[Place, ...]
    fixed: Mapping[str, str]


def find_units(sliced: SlicedNetwork) -> Units:
    """Return the units of a traced network.

    Raises:
        GroupError: Training ties units together, or it cannot be traced and alone reads some parameters.
    """
    programs = sliced.trace_all()
    summed, every = sliced.groups.summed, sliced.state_axes()
    places = {
        id(tensor): Place(tensor=tensor, axes=axes, summed=summed.get(name))
        for name, axes in every.items()
        if any(map(has_atoms, axes))
        for tensor in (state_tensor(sliced.net, name),)
    }
    fixed = dict(found for program in programs for found in _find_fixed(program, sliced.groups, every))
    return Units(groups=sliced.groups, places=tuple(places.values()), fixed=fixed)


def declared_units(network: DeclaredNetwork, groups: Groups) -> Units:
    """Return the units of a network whose groups a person declared."""
    places = tuple(Place(tensor=tensor, axes=axes) for tensor, axes in network.tensors())
    return Units(groups=groups, places=places, fixed={})


def find_makers(sliced: SlicedNetwork) -> dict[str, tuple[nn.Parameter, int]]:
    """Return the parameters that hold numbers of their own for each unit that they make, with the axis of the units.

    These are the biases of layers, the gains and biases of norms, and the weights that make units along one axis; but
    not where a batch norm follows, which undoes all they do. Among them are layers that only read units, such as the
    last one of a network.
    """
    summed, program = sliced.groups.summed, sliced.evaluation.program
    found: dict[str, int] = {}
    for entry, axes in zip(program.state, program.axes, strict=True):
        made = [axis for axis, term in enumerate(axes) if has_atoms(term) and axis != summed.get(entry.target)]
        is_known = len(axes) == 1 or entry.target in summed
        if entry.is_constant or not is_known or _is_normalized(program, entry.placeholder):
            continue
        if len(made) == 1:
            found[entry.target] = made[0]
        elif not made and entry.target in summed and has_atoms(axes[summed[entry.target]]):
            found |= _find_reader(program, entry)
    tensors = ((name, axis, state_tensor(sliced.net, name)) for name, axis in found.items())
    return {name: (tensor, axis) for name, axis, tensor in tensors if isinstance(tensor, nn.Parameter)}


def find_weights(sliced: SlicedNetwork, moving: frozenset[int]) -> dict[str, tuple[nn.Parameter, Axes]]:
    """Return the parameters of several axes that hold units of the moving atoms, with the terms of their axes."""
    program = sliced.evaluation.program
    found: dict[str, tuple[nn.Parameter, Axes]] = {}
    for entry, axes in zip(program.state, program.axes, strict=True):
        has_moving = any(atom.key in moving for term in axes for atom in atoms_of(term))
        if len(axes) < 2 or not has_moving or entry.is_constant:
            continue
        tensor = state_tensor(sliced.net, entry.target)
        if isinstance(tensor, nn.Parameter) and tensor.is_floating_point():
            found[entry.target] = (tensor, axes)
    return found


def holds(term: Term, group: Group) -> bool:
    """Return whether an axis is made of units of a group, alone or with others."""
    return any(atom.key == group.key for atom in atoms_of(term))


def number_units(term: Term, group: Group, symbols: Mapping[Any, int] | None = None) -> Tensor:
    """Return which unit of a group each position of an axis belongs to, -1 where it is none.

    Args:
        term: What the axis is made of.
        group: The group.
        symbols: The value of each dynamic size in the term.
    """
    if isinstance(term, Product):
        numbers = torch.full((1,), -1)
        for factor in term.factors:
            numbers = torch.maximum(numbers[:, None], number_units(factor, group, symbols)[None, :]).reshape(-1)
        return numbers
    if isinstance(term, Segments):
        return torch.cat([number_units(part, group, symbols) for part in term.parts])
    return torch.arange(group.size) if holds(term, group) else torch.full((count(term, {}, symbols or {}),), -1)


def sum_by_unit(
    values: Tensor, axis: int, term: Term, group: Group, symbols: Mapping[Any, int] | None = None
) -> Tensor:
    """Return the sum of all values that belong to each unit along one axis, in float64 on the CPU.

    Args:
        values: Real numbers.
        axis: The axis.
        term: What it is made of; it holds units of the group.
        group: The group.
        symbols: The value of each dynamic size in the term.
    """
    others = [other for other in range(values.dim()) if other != axis]
    wide = values.to(torch.promote_types(values.dtype, torch.float32))
    along = (wide.sum(others) if others else wide).detach().cpu().double()
    numbers = number_units(term, group, symbols)
    total = torch.zeros(group.size, dtype=torch.float64)
    return total.index_add(0, numbers[numbers >= 0], along[numbers >= 0])


def _find_fixed(program: Program, groups: Groups, every: Mapping[str, Axes]) -> Iterator[tuple[str, str]]:
    """Yield groups whose order something remembers that is neither a parameter nor a buffer of the graph."""
    constants = program.trace.constants
    for entry, axes in zip(program.state, program.axes, strict=True):
        for group in groups if entry.is_constant and entry.target in constants else ():
            if not _is_symmetric(constants[entry.target], axes, group):
                yield group.name, "a constant of the network tells its units apart"
    for name in program.trace.prologue.numbers.values() if program.trace.prologue is not None else ():
        for group in groups:
            if any(holds(term, group) for term in every.get(name, ())):
                yield group.name, "a spectral norm keeps vectors in their order"


def _find_reader(program: Program, entry: StateInput) -> dict[str, int]:
    """Return weight and bias of a linear layer or a convolution whose inputs move and whose outputs do not."""
    users = list(program.trace.placeholder(entry.placeholder).users)
    names = {overload_name(user.target) for user in users}
    if len(users) != 1 or not any(part in name for name in names for part in ("linear", "conv")):
        return {}
    is_transposed = any("conv_transpose" in name for name in names)
    found = {entry.target: 1 if is_transposed else 0}
    bias = arguments_by_name(users[0]).get("bias")
    targets = {other.placeholder: other.target for other in program.state}
    if isinstance(bias, fx.Node) and bias.name in targets and len(bias.users) == 1:
        found[targets[bias.name]] = 0
    return found


def _is_normalized(program: Program, placeholder: str) -> bool:
    """Whether all that a weight or a bias makes goes to batch norms."""
    makers = list(program.trace.placeholder(placeholder).users)
    readers = [reader for maker in makers for reader in maker.users]
    return bool(readers) and all("batch_norm" in overload_name(reader.target) for reader in readers)


def _is_symmetric(constant: Tensor, axes: Axes, group: Group) -> bool:
    """Whether a constant is the same with units in any order: a swap and a turn make up every order."""
    turned = torch.arange(group.size).roll(1)
    swapped = torch.arange(group.size)
    swapped[:2] = swapped[:2].flip(0)
    return all(torch.equal(cut(constant, axes, {group.key: order}), constant) for order in (turned, swapped))
