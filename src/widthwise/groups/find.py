"""Find the width groups of a network from the terms of its axes.

Atoms that survive inference are the groups. An atom that no parameter produces or nothing reads changes no output: it
is frozen, so that no width is offered that would do nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from torch import fx, nn
from torch.export.graph_signature import InputKind

from widthwise._shared import GroupError
from widthwise.graph import Atom, Axes, Frozen, Inference, StateAxes, atoms_of, size_of
from widthwise.groups.collection import Groups
from widthwise.groups.constants import find_sized_constants
from widthwise.groups.group import FrozenAxis, Group, Member
from widthwise.groups.kind import Kind, find_inner, find_kinds, find_normalized, has_attention
from widthwise.groups.remedy import find_remedy
from widthwise.groups.selection import ALL, Selection
from widthwise.groups.summed import find_summed

__all__ = ["find_groups", "unique_names"]


def find_groups(
    net: nn.Module, inference: Inference, state: StateAxes, selection: Selection = ALL, *, path: str = ""
) -> Groups:
    """Return the width groups of a network.

    Args:
        net: The traced network.
        inference: What is known of its trace.
        state: The axes of its parameters and buffers.
        selection: Which groups are wanted.
        path: Where the network is part of a larger one, its name there; all names are then those of the larger one.

    Raises:
        GroupError: Nothing in the network can shrink, and the message lists why; or a pattern matches nothing.
    """
    names = {atom: _qualify(name, path) for atom, name in _name_atoms(inference, state).items()}
    _freeze_ghosts(inference, state, names)
    found = _draft(inference, state, names, path)
    selection.check([name for group in found for name in (group.name, *(member.target for member in group.members))])
    for group in found:
        reason = selection.refuse(group.name, [member.target for member in group.members])
        if reason is not None:
            inference.solver.freeze(Atom(group.key, group.size), reason)
    kept = [
        group for group in found if inference.solver.resolve(Atom(group.key, group.size)) == Atom(group.key, group.size)
    ]
    frozen = _find_frozen(net, _resolve(inference, state, path), path)
    if not kept:
        raise GroupError(_nothing_to_shrink(net, frozen))
    titles = {Atom(group.key, group.size): group.name for group in kept}
    following = _let_follow(kept, inference, selection)
    groups = Groups(following, frozen, find_sized_constants(inference, titles), find_summed(inference, state))
    return groups.rounded_to(selection.round_to)


def _draft(inference: Inference, state: StateAxes, names: Mapping[Atom, str], path: str) -> list[Group]:
    """Return every group that the network has, before anybody chose among them."""
    resolved = _resolve(inference, state, path)
    members = _find_members(resolved)
    ordered = [atom for atom in names if atom in members]
    kinds = find_kinds(inference, ordered, find_inner(inference))
    titles = unique_names([_title(names[atom], kinds[atom]) for atom in ordered])
    return [
        Group(name=title, size=atom.size, members=tuple(members[atom]), key=atom.key, kind=kinds[atom])
        for atom, title in zip(ordered, titles, strict=True)
    ]


def _title(name: str, kind: Kind) -> str:
    return name if kind in ("units", "stream") else f"{name}.{kind}"


def _resolve(inference: Inference, state: StateAxes, path: str) -> dict[str, Axes]:
    return {
        _qualify(target, path): tuple(inference.solver.resolve(term) for term in axes)
        for target, axes in state.targets.items()
    }


def _qualify(name: str, path: str) -> str:
    return f"{path}.{name}" if path and name else path or name


def _let_follow(groups: list[Group], inference: Inference, selection: Selection) -> list[Group]:
    """Say which groups a common fraction moves; the others move by name only."""
    # Anew, since a factor whose neighbour was frozen by choice is alone on its axis.
    inner = find_inner(inference)
    normalized = find_normalized(inference) if has_attention(inference) else set[Atom]()

    def follows(group: Group) -> bool:
        atom = Atom(group.key, group.size)
        if group.kind == "query":
            return selection.queries
        if atom in inner:
            return group.kind == "value" and selection.values
        if group.kind == "stream":
            return atom not in normalized if selection.stream is None else selection.stream
        return True

    following = {group.name for group in groups if follows(group)}
    # Where nothing would move, a fraction can only mean what there is.
    return [replace(group, follows=group.name in following or not following) for group in groups]


def _name_atoms(inference: Inference, state: StateAxes) -> dict[Atom, str]:
    """Name each atom after the module whose parameter first gives it to the output of an operator."""
    trace = inference.trace
    parameters = [entry for entry in trace.state if entry.kind is InputKind.PARAMETER]
    targets = {trace.placeholder(entry.placeholder): entry.target for entry in parameters}
    names: dict[Atom, str] = {}
    for node in inference.outcomes:
        sources = [source for source in map(inference.origin, node.all_input_nodes) if source in targets]
        if not sources:
            continue
        carried = {
            atom for output in range(len(inference.axes[node])) for atom in _atoms(inference.axes_of(node, output))
        }
        for source in sources:
            for atom in _atoms(inference.axes_of(source)):
                if atom in carried:
                    names.setdefault(atom, _producer(node, state.names(targets[source])))
    return names


def _producer(node: fx.Node, targets: Sequence[str]) -> str:
    """Return the name of the module that an operator runs in, if it owns the parameter, else of the first that does."""
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    # A module that is called again is traced under its path and a number: "conv@1".
    path = stack[-1][0].partition("@")[0] if stack else ""
    owners = [target.partition(".parametrizations.")[0] for target in targets]
    owners = [
        owner if ".parametrizations." in target else owner.rpartition(".")[0] or owner
        for owner, target in zip(owners, targets, strict=True)
    ]
    return path if path in owners else owners[0]


def _atoms(axes: Axes) -> list[Atom]:
    return [atom for term in axes for atom in atoms_of(term)]


def _freeze_ghosts(inference: Inference, state: StateAxes, names: Mapping[Atom, str]) -> None:
    solver = inference.solver
    read = solver.read_atoms
    for axes in list(state.targets.values()):
        for atom in _atoms(tuple(solver.resolve(term) for term in axes)):
            if atom not in names:
                solver.freeze(atom, "never written: no operator passes it on from a parameter")
            elif atom not in read:
                solver.freeze(atom, "never read: no operator sums over it")


def _find_members(resolved: Mapping[str, Axes]) -> dict[Atom, list[Member]]:
    members: dict[Atom, list[Member]] = {}
    for target, axes in resolved.items():
        for axis, term in enumerate(axes):
            for atom in dict.fromkeys(atoms_of(term)):
                members.setdefault(atom, []).append(Member(target=target, axis=axis))
    return members


def _find_frozen(net: nn.Module, resolved: Mapping[str, Axes], path: str) -> list[FrozenAxis]:
    parameters = {_qualify(name, path) for name, _ in net.named_parameters(remove_duplicate=False)}
    return [
        FrozenAxis(
            target=target,
            axis=axis,
            size=str(size_of(term)),
            reason=term.reason,
            remedy=find_remedy(term.reason),
        )
        for target, axes in resolved.items()
        if target in parameters
        for axis, term in enumerate(axes)
        if isinstance(term, Frozen) and size_of(term) != 1
    ]


def unique_names(names: Sequence[str]) -> list[str]:
    """Number the names that several groups share: "conv" stays, but two of "attn" become "attn.0" and "attn.1"."""
    taken = {name for name in names if names.count(name) == 1}
    unique: list[str] = []
    for name in names:
        if names.count(name) > 1:
            numbers = (number for number in range(len(names) + len(taken)) if f"{name}.{number}" not in taken)
            name = f"{name}.{next(numbers)}"
            taken.add(name)
        unique.append(name)
    return unique


def _nothing_to_shrink(net: nn.Module, frozen: Sequence[FrozenAxis]) -> str:
    """Say why, unknown operators first: those are what can be helped."""
    reasons: dict[str, str] = {}
    for axis in sorted(frozen, key=lambda axis: "unknown" not in axis.reason):
        reasons.setdefault(axis.reason, f"{axis.target}[{axis.axis}]: {axis.reason}")
    listed = "; ".join(list(reasons.values())[:4]) + ("; ..." if len(reasons) > 4 else "")
    advice = "give it a hidden layer between input and output"
    if any("unknown" in reason for reason in reasons):
        advice = "add a rule for the unknown operator (widthwise.graph.rule), or place ww.StructuralDropout by hand"
    return f"{type(net).__name__} must have an axis that can shrink, got none ({listed or 'no parameters'}); {advice}"
