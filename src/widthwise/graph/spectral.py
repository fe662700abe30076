"""Spectral norms: weights divided by a number that a network works out of the whole of them.

The number is u^T W v, an estimate of the largest singular value of W (Miyato et al. 2018, algorithm 1). Over the kept
units alone that sum is the norm of nothing: it may be 0. So it stays that of the whole weight at every width, taken out
of the graph and worked out before anything is cut; a part of a matrix has at most the norm of the whole.
"""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, fx

from widthwise.graph.overload import overload_name

__all__ = ["Prologue", "take_out_norms"]

_DOTS = {"aten::dot", "aten::vdot"}
_VIEWS = {
    "aten::view", "aten::reshape", "aten::_unsafe_view", "aten::flatten", "aten::permute", "aten::transpose",
    "aten::t", "aten::clone", "aten::detach", "aten::contiguous",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Prologue:
    """What a network works out of whole tensors before it reads its inputs.

    Attributes:
        graph: It takes `reads` and returns the numbers and the new values of `writes`.
        reads: Names of parameters and buffers.
        numbers: The name of each number, and that of the parameter that it divides.
        writes: Names of the buffers that it updates.
        is_alone: Names of the parameters that are read for nothing else, and divided by one number only.
    """

    graph: fx.Graph
    reads: Sequence[str]
    numbers: Mapping[str, str]
    writes: Sequence[str]
    is_alone: Set[str]

    def run(self, tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Return the numbers and the new values of buffers, by name."""
        # Autograd keeps what it reads, and the updates must not change that.
        given = [tensors[name].clone() if name in self.writes else tensors[name] for name in self.reads]
        numbers, values = self._module.forward(*given)
        return dict(zip(self.numbers, numbers, strict=True)), dict(zip(self.writes, values, strict=True))

    @cached_property
    def _module(self) -> Any:
        return fx.GraphModule(torch.nn.Module(), self.graph)


def take_out_norms(graph: fx.Graph, state: Mapping[str, str], written: dict[str, str]) -> Prologue | None:
    """Hand in as placeholders the numbers by which weights are divided; in place. None where there are none.

    Args:
        graph: A functional graph whose output starts with the new values of buffers.
        state: The names of parameters, buffers and constants by their placeholders, which come first.
        written: Names of buffers by the names of the nodes that hold their new values; those of norms are taken out.
    """
    numbers = _find_numbers(graph, state)
    if not numbers:
        return None
    inner = _find_ancestors(numbers)
    updates = {name: target for name, target in written.items() if any(node.name == name for node in inner)}
    prologue = Prologue(
        graph=_copy_part(graph, inner, list(numbers), list(updates)),
        reads=[state[node.name] for node in graph.nodes if node in inner and node.op == "placeholder"],
        numbers={f"lifted_{number.name}": state[weight.name] for number, weight in numbers.items()},
        writes=list(updates.values()),
        is_alone={state[weight.name] for weight in numbers.values() if _is_alone(weight, numbers)},
    )
    _drop_outputs(graph, len(written), set(updates))
    first = next(node for node in graph.nodes if node.name not in state)
    for number in numbers:
        with graph.inserting_before(first):
            new = graph.placeholder(f"c_lifted_{number.name}")
        new.meta["val"] = number.meta["val"]
        number.replace_all_uses_with(new)
    graph.eliminate_dead_code(lambda node: node.op in ("placeholder", "output"))
    vectors = {*prologue.reads, *prologue.writes}
    for node in graph.find_nodes(op="placeholder"):
        # A vector that only the norm reads and writes is no part of the graph any more.
        if not node.users and state.get(node.name) in vectors:
            graph.erase_node(node)
    for name in updates:
        del written[name]
    return prologue


def _find_numbers(graph: fx.Graph, state: Mapping[str, str]) -> dict[fx.Node, fx.Node]:
    """Return each number of the form u^T W v by which nothing but W is divided, with the placeholder of W."""
    whole: set[fx.Node] = set()
    found: dict[fx.Node, fx.Node] = {}
    for node in graph.nodes:
        if node.name in state if node.op == "placeholder" else all(each in whole for each in node.all_input_nodes):
            whole.add(node)
        if node in whole and _name(node) in _DOTS:
            products = [each for each in map(_root, node.all_input_nodes) if _name(each) == "aten::mv"]
            weights = {_root(each.all_input_nodes[0]) for each in products}
            found.update((node, weight) for weight in weights if _divides_only(node, weight))
    return found


def _divides_only(number: fx.Node, weight: fx.Node) -> bool:
    return weight.op == "placeholder" and all(
        _name(user) == "aten::div" and user.args[1] is number and _root(user.all_input_nodes[0]) is weight
        for user in number.users
    )


def _is_alone(weight: fx.Node, numbers: Mapping[fx.Node, fx.Node]) -> bool:
    """Whether a weight has one number, by which it is divided before anything else is made of it."""
    own = [number for number, divided in numbers.items() if divided is weight]
    inner, border = _find_ancestors(own), [weight]
    while border:
        for user in border.pop().users:
            if user in inner and _name(user) not in _VIEWS:
                continue
            if _name(user) in _VIEWS:
                border.append(user)
            elif _name(user) != "aten::div" or user.args[1] not in own:
                return False
    return len(own) == 1


def _root(node: fx.Node) -> fx.Node:
    while _name(node) in _VIEWS:
        node = node.all_input_nodes[0]
    return node


def _find_ancestors(nodes: Mapping[fx.Node, fx.Node] | Sequence[fx.Node]) -> set[fx.Node]:
    """Return nodes and all that they come from."""
    found, border = set(nodes), list(nodes)
    while border:
        new = [source for source in border.pop().all_input_nodes if source not in found]
        found.update(new)
        border += new
    return found


def _copy_part(graph: fx.Graph, inner: Set[fx.Node], numbers: Sequence[fx.Node], updates: Sequence[str]) -> fx.Graph:
    part = fx.Graph()
    copies: dict[fx.Node, fx.Node] = {}
    for node in graph.nodes:
        if node in inner:
            copies[node] = part.node_copy(node, lambda old: copies[old])
    by_name = {node.name: copy for node, copy in copies.items()}
    part.output((tuple(copies[number] for number in numbers), tuple(by_name[name] for name in updates)))
    return part


def _drop_outputs(graph: fx.Graph, num_written: int, names: Set[str]) -> None:
    output = next(iter(graph.find_nodes(op="output")))
    leaves: Any = output.args[0]
    output.args = (
        tuple(leaf for i, leaf in enumerate(leaves) if i >= num_written or getattr(leaf, "name", "") not in names),
    )


def _name(node: fx.Node) -> str:
    return overload_name(node.target).partition(".")[0]
