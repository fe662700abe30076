"""Tables of numbers that nobody learns: constants, buffers, and what `arange` and its like make of a size.

Units along their axes are cut as data: a kept unit keeps its own entry, as in the full network with the others masked.
Not so where entries number positions, to look something up or to be compared: such a table keeps its size.
"""

from collections.abc import Iterator, Set
from typing import Any

import torch
from torch import Tensor, fx

from widthwise.graph.nested import Nested, find_passages, nested_nodes
from widthwise.graph.overload import arguments_by_name, overload_name
from widthwise.graph.shape import fake_tensors

__all__ = ["find_data", "is_table", "lift_tables"]

# Their entries differ, so a table of another size is no cut of the full one.
_MADE = {"aten::arange", "aten::linspace", "aten::logspace", "aten::eye"}
_INDICES = ("index", "indices", "offsets")
Passages = dict[fx.Node, list[Any]]
_COMPARISONS = {"aten::eq", "aten::ne", "aten::lt", "aten::le", "aten::gt", "aten::ge"}


def find_data(graph: fx.Graph, held: Set[str]) -> set[fx.Node]:
    """Return the tables of a functional graph whose entries are data and number no positions.

    Args:
        graph: The graph.
        held: The placeholders of buffers and constants.
    """
    passages = find_passages(graph)
    unlearned = _find_unlearned(graph, held, passages)
    passed: Passages = {}
    for node, sources in passages.items():
        for source in sources:
            if isinstance(source, fx.Node):
                passed.setdefault(source, []).append(node)
    return {node for node in _find_tables(graph, held) if _is_data(node, unlearned, passed)}


def lift_tables(graph: fx.Graph, held: Set[str], inputs: Set[str]) -> dict[str, Tensor]:
    """Hand in as constants the tables of data that operators make of plain numbers; in place.

    Args:
        graph: The graph.
        held: The placeholders of buffers and constants.
        inputs: The placeholders of the user's inputs, which stand behind all others.

    Returns:
        The tables by name; "c_" and that name is their placeholder.
    """
    found = find_data(graph, held)
    made = [node for node in graph.nodes if node in found and node.op == "call_function"]
    first = next(node for node in graph.nodes if node.op != "placeholder" or node.name in inputs)
    tables: dict[str, Tensor] = {}
    for node in made:
        name = f"lifted_{node.name}"
        with graph.inserting_before(first):
            new = graph.placeholder(f"c_{name}")
        new.meta["val"] = node.meta["val"]
        target: Any = node.target
        tables[name] = target(*node.args, **node.kwargs)
        node.replace_all_uses_with(new)
        graph.erase_node(node)
    return tables


def is_table(node: fx.Node) -> bool:
    """Return whether an operator makes a table of sizes alone."""
    return _name(node) in _MADE and not any(_tensors(source) for source in node.all_input_nodes)


def _find_tables(graph: fx.Graph, held: Set[str]) -> Iterator[fx.Node]:
    for node in graph.nodes:
        if node.op == "placeholder":
            is_table = node.name in held
        else:
            is_table = _name(node) in _MADE and not node.all_input_nodes and _is_square(node)
        if is_table:
            yield node


def _is_square(table: fx.Node) -> bool:
    """Whether all axes of a table, if it has several, can be one: an identity that is none tells rows by number."""
    return len(set(table.meta["val"].shape)) == 1


def _find_unlearned(graph: fx.Graph, held: Set[str], passages: Passages) -> set[fx.Node]:
    """Return the nodes that come from no parameter and from no entry of an input."""
    found: set[fx.Node] = set()
    for node in nested_nodes(graph):
        if node in passages:
            is_unlearned = any(not isinstance(each, fx.Node) or each in found for each in passages[node])
        elif node.op == "placeholder":
            is_unlearned = node.name in held
        else:
            is_unlearned = not _tensors(node) or all(source in found for source in node.all_input_nodes)
        if is_unlearned:
            found.add(node)
    return found


def _is_data(table: fx.Node, unlearned: Set[fx.Node], passed: Passages) -> bool:
    """Whether nothing that is made of a table, until learned values meet it, tells positions by their numbers."""
    seen, border = {table}, [table]
    while border:
        source = border.pop()
        for user in (*source.users, *passed.get(source, ())):
            if _tells_positions(user, source):
                return False
            is_over = user in seen or user.op == "output" or isinstance(user.target, Nested)
            if not is_over and (user in unlearned or not _holds_reals(user)):
                seen.add(user)
                border.append(user)
    return True


def _tells_positions(user: fx.Node, source: fx.Node) -> bool:
    if _name(user) in _COMPARISONS:
        value = source.meta["val"]
        return not value.dtype.is_floating_point and value.dtype != torch.bool
    named = arguments_by_name(user)
    indices = [named[name] for name in _INDICES if name in named]
    return any(source is each or (isinstance(each, list | tuple) and source in each) for each in indices)


def _holds_reals(node: fx.Node) -> bool:
    return all(each.dtype.is_floating_point or each.dtype.is_complex for each in _tensors(node))


def _tensors(node: fx.Node) -> list[Tensor]:
    return [each for each in fake_tensors(node) if isinstance(each, Tensor)]


def _name(node: fx.Node) -> str:
    return overload_name(node.target).partition(".")[0]
