"""Keep a caller's autocast from operators on which the network has decided itself.

Stretches of such operators become one call each, of a body that runs without autocast. What comes out of a caller's
autocast has a narrower dtype than was traced, and a second trace leaves out casts that do nothing: so a body gives its
inputs the traced dtypes.
"""

import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn

from widthwise.graph import find_protected_devices
from widthwise.slicing.running.functions import use_functions

__all__ = ["protect", "protect_by_torch"]

_AUTOCAST = torch.ops.higher_order.wrap_with_autocast
Fold = Callable[[fx.Graph, fx.GraphModule, list[fx.Node], tuple[str, ...]], fx.Node]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Protected:
    """Runs a body without autocast."""

    body: fx.GraphModule
    devices: tuple[str, ...]

    @property
    def __name__(self) -> str:
        return "protected"

    def __call__(self, *inputs: Any) -> tuple[Any, ...]:
        return _run_without_autocast(self.body, self.devices, inputs)


def _run_without_autocast(body: fx.GraphModule, devices: tuple[str, ...], inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    # No ExitStack, which torch.compile cannot read.
    if not devices:
        return body(*inputs)
    with torch.autocast(devices[0], enabled=False):
        return _run_without_autocast(body, devices[1:], inputs)


def protect(graph: fx.Graph) -> fx.Graph:
    """Fold the stretches of a graph that is run here; in place."""
    for stretch in list(_find_stretches(graph)):
        _fold(graph, stretch, _call_here)
    return graph


def protect_by_torch(graph: fx.Graph, module: nn.Module) -> fx.Graph:
    """Fold the stretches of a graph that needs nothing but torch; in place. Their bodies are registered on a module."""

    def call(graph: fx.Graph, body: fx.GraphModule, inputs: list[fx.Node], devices: tuple[str, ...]) -> fx.Node:
        for device in devices[1:]:
            body = _wrap(body, device, len(inputs))
        return _call_by_torch(graph, module, body, inputs, devices[0])

    for stretch in list(_find_stretches(graph)):
        _fold(graph, stretch, call)
    return graph


def _find_stretches(graph: fx.Graph) -> Iterator[list[fx.Node]]:
    stretch: list[fx.Node] = []
    for node in graph.nodes:
        devices = find_protected_devices(node) if node.op == "call_function" else ()
        if stretch and devices != find_protected_devices(stretch[0]):
            yield stretch
            stretch = []
        if devices:
            stretch.append(node)


def _fold(graph: fx.Graph, stretch: list[fx.Node], call: Fold) -> None:
    inside = dict.fromkeys(stretch)
    inputs = list(dict.fromkeys(source for node in stretch for source in node.all_input_nodes if source not in inside))
    outputs = [node for node in stretch if any(user not in inside for user in node.users)]
    body, copies = fx.Graph(), dict[fx.Node, fx.Node]()
    for i, source in enumerate(inputs):
        copies[source] = body.placeholder(f"input_{i}")
    for source in inputs:
        value = source.meta.get("val")
        if isinstance(value, Tensor) and value.is_floating_point():
            copies[source] = body.call_function(torch.ops.aten.to.dtype, (copies[source], value.dtype))
    for node in stretch:
        copies[node] = body.node_copy(node, lambda old: copies[old])
        copies[node].meta = {}
    body.output(tuple(copies[node] for node in outputs))
    with graph.inserting_before(stretch[0]):
        new = call(graph, fx.GraphModule(nn.Module(), use_functions(body)), inputs, find_protected_devices(stretch[0]))
        for i, node in enumerate(outputs):
            read = graph.call_function(operator.getitem, (new, i))
            node.replace_all_uses_with(read, delete_user_cb=lambda user: user not in inside)
    for node in reversed(stretch):
        graph.erase_node(node)


def _call_here(graph: fx.Graph, body: fx.GraphModule, inputs: list[fx.Node], devices: tuple[str, ...]) -> fx.Node:
    return graph.call_function(_Protected(body=body, devices=devices), tuple(inputs))


def _call_by_torch(
    graph: fx.Graph, module: nn.Module, body: fx.GraphModule, inputs: list[fx.Node], device: str
) -> fx.Node:
    number = next(i for i in range(len(graph.nodes) + 1) if not hasattr(module, f"protected_{i}"))
    module.add_module(f"protected_{number}", body)
    held = graph.get_attr(f"protected_{number}")
    return graph.call_function(_AUTOCAST, (device, None, False, None, held, *inputs))


def _wrap(body: fx.GraphModule, device: str, num_inputs: int) -> fx.GraphModule:
    wrapped = fx.GraphModule(nn.Module(), fx.Graph())
    inputs = [wrapped.graph.placeholder(f"input_{i}") for i in range(num_inputs)]
    wrapped.graph.output(_call_by_torch(wrapped.graph, wrapped, body, inputs, device))
    wrapped.recompile()
    return wrapped
