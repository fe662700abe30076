"""The trunk of a network: what all widths have in common when they run on the same samples, so that it is run once.

A value at a width is the cut of the full one where nothing on the way sums over units: the first layer of a network,
and all layers before the one whose units are cut. With causal channels weights sum over units too, but only over those
that every width of the reader keeps. From the trunk on, the branch is run at each width.
"""

import operator
from collections.abc import Sequence, Set
from typing import Any, final

import torch
from torch import Tensor, fx, nn

from widthwise.graph import (
    Axes,
    Inference,
    Nested,
    Product,
    Sum,
    Term,
    arguments_by_name,
    atoms_of,
    overload_name,
    size_of,
)
from widthwise.slicing.causal_mask import CausalMask
from widthwise.slicing.running.cut import cut
from widthwise.slicing.running.forward import Forward
from widthwise.slicing.running.program import Kept, Program

__all__ = ["Trunk", "find_trunk"]

# They count the units that they normalise over, which is no sum to their rules.
_NORMS = {
    "aten::layer_norm",
    "aten::native_layer_norm",
    "aten::rms_norm",
    "aten::group_norm",
    "aten::native_group_norm",
}


def find_trunk(
    net: nn.Module, program: Program, keys: Set[int], *, changed: Set[str] = frozenset(), causal: bool = True
) -> set[fx.Node]:
    """Return the traced nodes whose values at a width are the cut of those at full width.

    Args:
        net: The network.
        program: It, traced.
        keys: The groups that are cut.
        changed: Names of state tensors that are not the same at every width.
        causal: Whether widths are fractions of every group, for which causal masks hold.
    """
    inference = program.inference
    changed_nodes = {entry.placeholder for entry in program.state if entry.target in changed}
    found: set[fx.Node] = set()
    for node in program.trace.graph.nodes:
        if node.op == "placeholder":
            if node.name not in changed_nodes:
                found.add(node)
        elif (
            node.op == "call_function"
            and all(source in found for source in node.all_input_nodes)
            and _keeps(net, program, node, keys, causal=causal)
            and _can_be_cut(inference, node)
        ):
            found.add(node)
    return found


@final
class Trunk:
    """A program in two parts: one that is run at full width, and one that is run at each width after it.

    Args:
        program: The whole program.
        nodes: The traced nodes of the trunk.

    Attributes:
        nodes: As given.
        stem: Gives what the branch needs of the trunk; takes the state and the inputs, to be run at full width.
        branch: Gives new buffer values and outputs; takes the state, the inputs, and what the stem gave, cut.
    """

    def __init__(self, program: Program, nodes: Set[fx.Node]) -> None:
        self.nodes = nodes
        live = set(program.graph.nodes)
        traced = {new: old for old, new in program.origins.items() if new in live}
        trunk = {new for new, old in traced.items() if old in nodes}
        crossing = [
            node
            for node in program.graph.nodes
            if node in trunk and node.op == "call_function" and any(user not in trunk for user in node.users)
        ]
        self._axes = [_axes_of(program.inference, traced[node]) for node in crossing]
        self.stem = _trim(_copy_stem(program.graph, trunk, crossing))
        self.branch = _trim(_copy_branch(program.graph, trunk, crossing))

    def cut(self, values: Sequence[Any], kept: Kept) -> list[Any]:
        """Return what the stem gave, cut to a kept set."""
        return [
            cut(value, axes, kept) if axes is not None and isinstance(value, Tensor) else value
            for value, axes in zip(values, self._axes, strict=True)
        ]


def _keeps(net: nn.Module, program: Program, node: fx.Node, keys: Set[int], *, causal: bool) -> bool:
    """Whether a node gives at a width the cut of what it gives at full width, if all that it takes is cut."""
    inference = program.inference
    if not any(_touches(inference, each, keys) for each in (node, *node.all_input_nodes)):
        return True
    name = overload_name(node.target).partition(".")[0]
    # Of operators of others, rules say how axes go together, and not that they are no sums.
    if isinstance(node.target, Nested) or name in _NORMS or not (name.startswith("aten::") or _is_getitem(node)):
        return False
    if "batch_norm" in name and _spreads_units(inference, node, keys):
        return False
    counted = (term for formula in program.counts.get(node, {}).values() for _, term in formula.terms)
    if any(atom.key in keys for term in counted for atom in atoms_of(term)):
        return False
    reads = (atom.key for term in inference.reads.get(node, ()) for atom in atoms_of(inference.solver.resolve(term)))
    return keys.isdisjoint(reads) or (causal and _is_causal(net, program, node))


def _spreads_units(inference: Inference, node: fx.Node, keys: Set[int]) -> bool:
    """Whether what a batch norm takes the mean of are units."""
    axes = inference.axes_of(node.all_input_nodes[0])
    return any(atom.key in keys for axis, term in enumerate(axes) if axis != 1 for atom in atoms_of(term))


def _is_getitem(node: fx.Node) -> bool:
    return node.target is operator.getitem


def _is_causal(net: nn.Module, program: Program, node: fx.Node) -> bool:
    """Whether all that a node sums over it sums with weights that have a causal mask."""
    outcome = program.inference.outcomes.get(node)
    named = arguments_by_name(node)
    return (
        outcome is not None and bool(outcome.contracted)
        and all(_is_masked(net, program, named[argument]) for argument in outcome.contracted)
    )  # fmt: skip


def _is_masked(net: nn.Module, program: Program, weight: Any) -> bool:
    if not isinstance(weight, fx.Node) or weight.target is not torch.ops.aten.mul.Tensor:
        return False
    targets = {entry.placeholder: entry.target for entry in program.state}
    for source in weight.all_input_nodes:
        path, _, name = targets.get(source.name, "").rpartition(".")
        if name == "mask" and isinstance(net.get_submodule(path), CausalMask):
            return True
    return False


def _touches(inference: Inference, node: fx.Node, keys: Set[int]) -> bool:
    return any(
        atom.key in keys
        for output in range(len(inference.axes.get(node, ())))
        for term in inference.axes_of(node, output)
        for atom in atoms_of(term)
    )


def _can_be_cut(inference: Inference, node: fx.Node) -> bool:
    """Whether the positions of units on every axis are known, which a folded dynamic size would hide."""

    def is_known(term: Term) -> bool:
        children = term.factors if isinstance(term, Product) else term.parts if isinstance(term, Sum) else ()
        return not children or all(isinstance(size_of(child), int) and is_known(child) for child in children)

    outputs = range(len(inference.axes.get(node, ())))
    return all(is_known(term) for output in outputs for term in inference.axes_of(node, output))


def _axes_of(inference: Inference, node: fx.Node) -> Axes | None:
    return inference.axes_of(node) if len(inference.axes.get(node, ())) == 1 else None


def _is_read(node: fx.Node, graph: fx.Graph) -> bool:
    """Whether a node reads from the table of sizes, which both parts have."""
    return node.target is operator.getitem and node.args[0] is next(iter(graph.nodes))


def _copy_stem(graph: fx.Graph, trunk: Set[fx.Node], crossing: Sequence[fx.Node]) -> fx.Graph:
    stem, copies = fx.Graph(), dict[fx.Node, fx.Node]()
    for node in graph.nodes:
        if node.op == "placeholder" or node in trunk or _is_read(node, graph):
            copies[node] = stem.node_copy(node, copies.__getitem__)
    stem.output(tuple(copies[node] for node in crossing))
    return stem


def _copy_branch(graph: fx.Graph, trunk: Set[fx.Node], crossing: Sequence[fx.Node]) -> fx.Graph:
    branch = fx.Graph()
    copies = {node: branch.node_copy(node) for node in graph.find_nodes(op="placeholder")}
    for node in crossing:
        copies[node] = branch.placeholder(f"trunk_{node.name}")
        copies[node].meta = dict(node.meta)
    for node in graph.nodes:
        if node not in copies and node not in trunk:
            copies[node] = branch.node_copy(node, copies.__getitem__)
    return branch


def _trim(graph: fx.Graph) -> Forward:
    graph.eliminate_dead_code(lambda node: node.op in ("placeholder", "output"))
    return Forward(graph)
