"""Keep gradients where the network keeps them: no further than into what it computes without.

torch.export loses `torch.no_grad()` around branches and inside autocast, so it is noted for each node as it is made.
What leaves such code is detached; what code without gradients only hands on (`y.float()` of floats is y) is not.
"""

from collections.abc import Generator, Iterable
from contextlib import contextmanager
from typing import Any

import torch
from torch import fx

from widthwise._shared import TraceError
from widthwise.graph.call import place_of
from widthwise.graph.overload import arguments_by_name, schema_arguments
from widthwise.graph.shape import memory_of

__all__ = ["note_gradients", "stop_gradients"]

_KEY = "widthwise.without_gradients"
_DETACH = torch.ops.aten.detach.default
# They return their input itself where there is nothing to do.
_HANDS_ON = {"aten::to", "aten::type_as", "aten::contiguous", "aten::dropout", "aten::feature_dropout"}


@contextmanager
def note_gradients() -> Generator[None]:
    """Note for each node of a graph that is made whether gradients were switched off by what is traced."""
    create = fx.Graph.create_node
    is_enabled = torch.is_grad_enabled()

    def create_and_note(*args: Any, **kwargs: Any) -> fx.Node:
        node = create(*args, **kwargs)
        if is_enabled and not torch.is_grad_enabled():
            node.meta[_KEY] = True
        return node

    fx.Graph.create_node = create_and_note
    try:
        yield
    finally:
        fx.Graph.create_node = create


def stop_gradients(module: fx.GraphModule, parameters: Iterable[str]) -> None:
    """Detach what was computed without gradients where it is used with them; in place.

    Args:
        module: The graph, as it was noted, and its bodies.
        parameters: The names of the placeholders that carry gradients.

    Raises:
        TraceError: The network writes, without gradients, over values that carry some.
    """
    graph, carrying = module.graph, _Carrying(module.graph, set(parameters))
    for node in list(graph.nodes):
        if node.op == "get_attr" and isinstance(body := getattr(module, node.target, None), fx.GraphModule):
            stop_gradients(body, [each.name for each in body.graph.find_nodes(op="placeholder")])
            body.recompile()
        if node.op != "call_function":
            continue
        carrying.visit(node)
        if _KEY in node.meta and (handed := _handed_on(node)) is not None:
            node.replace_all_uses_with(handed, delete_user_cb=lambda user: _KEY not in user.meta)
        elif _KEY in node.meta:
            _detach(node)


class _Carrying:
    """Knows which values carry gradients, and in which memory these lie."""

    def __init__(self, graph: fx.Graph, parameters: set[str]) -> None:
        self._nodes = {node for node in graph.find_nodes(op="placeholder") if node.name in parameters}
        self._memory = {place for node in self._nodes for place in memory_of(node)}
        # What is made without gradients, and views of it: it carries none, wherever it lies.
        self._apart: set[fx.Node] = set()
        self._seen: list[fx.Node] = []

    def visit(self, node: fx.Node) -> None:
        """Take note of a node; a write that would lose gradients is refused."""
        written, is_without = _written(node), _KEY in node.meta
        for each in written:
            if (is_without or each not in self._nodes) and not self._memory.isdisjoint(memory_of(each)):
                raise TraceError(_refusal(node))
        if is_without or node.target is _DETACH or self._views_what_is_apart(node):
            self._apart.add(node)
            return
        self._seen.append(node)
        if any(source in self._nodes for source in node.all_input_nodes):
            self._nodes.add(node)
            self._memory.update(memory_of(node))
            if written:
                self._spread({place for each in written for place in memory_of(each)})

    def _views_what_is_apart(self, node: fx.Node) -> bool:
        sources = [source for source in node.all_input_nodes if source in self._apart]
        places = {place for source in sources for place in memory_of(source)}
        return not places.isdisjoint(memory_of(node))

    def _spread(self, places: set[int]) -> None:
        """Let every name of a piece of memory carry gradients, once some were written to it."""
        self._memory.update(places)
        self._nodes.update(node for node in self._seen if not places.isdisjoint(memory_of(node)))


def _detach(node: fx.Node) -> None:
    value = node.meta.get("val")
    is_float = isinstance(value, torch.Tensor) and (value.is_floating_point() or value.is_complex())
    if not is_float or all(_KEY in user.meta for user in node.users):
        return
    with node.graph.inserting_after(node):
        new = node.graph.call_function(_DETACH, (node,))
    new.meta = dict(node.meta)
    node.replace_all_uses_with(new, delete_user_cb=lambda user: user is not new and _KEY not in user.meta)


def _handed_on(node: fx.Node) -> fx.Node | None:
    """Return the value that a node returns as it is, if it does."""
    sources = node.all_input_nodes
    name = getattr(getattr(node.target, "_schema", None), "name", "")
    if name not in _HANDS_ON or not sources or memory_of(node).isdisjoint(memory_of(sources[0])):
        return None
    return sources[0]


def _written(node: fx.Node) -> list[fx.Node]:
    named = arguments_by_name(node)
    names = [each.name for each in schema_arguments(node.target) if each.alias_info and each.alias_info.is_write]
    return [named[name] for name in names if isinstance(named.get(name), fx.Node)]


def _refusal(node: fx.Node) -> str:
    place = place_of(node)
    return (
        f"values that carry gradients must be written with them, but {node.target}{f' ({place})' if place else ''} "
        "writes over some inside torch.no_grad(), or through detach(); make a new value, as in "
        "y = y + (f(y) - y).detach()"
    )
