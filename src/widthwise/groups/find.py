"""Find the width groups of a network from the terms of its axes.

Atoms that survive inference are the groups. An atom that nothing produces or nothing reads changes no output: it is frozen, so that no
width is offered that would do nothing.
"""

from collections.abc import Mapping

from torch import nn

from widthwise._shared import GroupError
from widthwise.graph import Atom, Axes, Inference, StateAxes, atoms_of, size_of
from widthwise.groups.group import FrozenAxis, Group, Groups, Member

__all__ = ["find_groups"]


def find_groups(net: nn.Module, inference: Inference, state: StateAxes) -> Groups:
    """Return the width groups of a network.

    Args:
        net: The traced network.
        inference: What is known of its trace.
        state: The axes of its parameters and buffers.

    Raises:
        GroupError: Nothing in the network can shrink; the message lists why.
    """
    names = _name_atoms(inference)
    _freeze_ghosts(inference, state, names)
    members: dict[Atom, list[Member]] = {}
    frozen: list[FrozenAxis] = []
    parameters = {name for name, _ in net.named_parameters(remove_duplicate=False)}
    for target, axes in state.targets.items():
        _sort_axes(
            target, tuple(inference.solver.resolve(term) for term in axes), members, frozen, target in parameters
        )
    ordered = [atom for atom in names if atom in members]
    if not ordered:
        raise GroupError(_nothing_to_shrink(net, frozen))
    titles = _unique_names([names[atom] for atom in ordered])
    groups = [
        Group(name=title, size=atom.size, members=tuple(members[atom]), key=atom.key)
        for title, atom in zip(titles, ordered, strict=True)
    ]
    return Groups(groups, frozen)


def _name_atoms(inference: Inference) -> dict[Atom, str]:
    """Name each atom after the module whose parameter first gives it to the output of an operator."""
    targets = {entry.placeholder: entry.target for entry in inference.trace.state}
    names: dict[Atom, str] = {}
    for node in inference.outcomes:
        carried = {
            atom for output in range(len(inference.axes[node])) for atom in _atoms(inference.axes_of(node, output))
        }
        for source in node.all_input_nodes:
            if source.name in targets:
                for atom in _atoms(inference.axes_of(source)):
                    if atom in carried:
                        names.setdefault(atom, _module_name(targets[source.name]))
    return names


def _module_name(target: str) -> str:
    return target.rpartition(".")[0] or target


def _atoms(axes: Axes) -> list[Atom]:
    return [atom for term in axes for atom in atoms_of(term)]


def _freeze_ghosts(inference: Inference, state: StateAxes, names: Mapping[Atom, str]) -> None:
    solver = inference.solver
    read = solver.read_atoms
    for axes in list(state.targets.values()):
        for atom in _atoms(tuple(solver.resolve(term) for term in axes)):
            if atom not in names:
                solver.freeze(atom, "never written: no operator passes it on")
            elif atom not in read:
                solver.freeze(atom, "never read: no operator sums over it")


def _sort_axes(
    target: str, axes: Axes, members: dict[Atom, list[Member]], frozen: list[FrozenAxis], is_parameter: bool
) -> None:
    for axis, term in enumerate(axes):
        found = list(atoms_of(term))
        for atom in dict.fromkeys(found):
            members.setdefault(atom, []).append(Member(target=target, axis=axis))
        if not found and is_parameter and size_of(term) != 1:
            frozen.append(
                FrozenAxis(target=target, axis=axis, size=str(size_of(term)), reason=getattr(term, "reason", ""))
            )


def _unique_names(names: list[str]) -> list[str]:
    """Number the names that several groups share: "conv" stays, but two of "attn" become "attn.0" and "attn.1"."""
    seen: dict[str, int] = {}
    unique = []
    for name in names:
        if names.count(name) == 1:
            unique.append(name)
        else:
            unique.append(f"{name}.{seen.setdefault(name, 0)}")
            seen[name] += 1
    return unique


def _nothing_to_shrink(net: nn.Module, frozen: list[FrozenAxis]) -> str:
    reasons = list(dict.fromkeys(f"{axis.target}[{axis.axis}]: {axis.reason}" for axis in frozen))
    listed = "; ".join(reasons[:4]) + ("; ..." if len(reasons) > 4 else "")
    return (
        f"{type(net).__name__} has no width that can shrink ({listed or 'it has no parameters'}); "
        "a width group needs at least one hidden layer between input and output"
    )
