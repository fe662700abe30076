"""A graph that reads sizes from a table, as a function of the table and of all else that it takes."""

import operator
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, final

from torch import fx, nn

from widthwise.graph import shape_of
from widthwise.slicing.running.functions import use_functions
from widthwise.slicing.running.protect import protect

__all__ = ["Forward"]


@final
class Forward:
    """Runs a graph whose first placeholder is the table of sizes.

    Args:
        graph: The graph, which is not changed.

    Attributes:
        graph: As given.
    """

    def __init__(self, graph: fx.Graph) -> None:
        self.graph = graph

    def __call__(self, sizes: Sequence[int | float], *inputs: Any) -> Any:
        """Run the graph at a table of sizes."""
        return self._call(sizes, *inputs)

    def settle(self, sizes: Sequence[int | float]) -> fx.GraphModule:
        """Return the graph with the sizes of one table written into it and without that input."""
        settled, copies = fx.Graph(), dict[fx.Node, Any]()
        table, *nodes = self.graph.nodes
        for node in nodes:
            if node.target is operator.getitem and node.args[0] is table:
                copies[node] = sizes[node.args[1]]
            elif node.op == "output":
                settled.output(fx.map_arg(node.args[0], copies.__getitem__))
            else:
                copies[node] = settled.node_copy(node, copies.__getitem__)
        return fx.GraphModule(nn.Module(), use_functions(protect(settled)))

    def open_axes(self) -> list[tuple[int, ...]]:
        """Return the axes of each input, in their order, whose sizes the trace leaves open, such as the batch."""
        _, *inputs = self.graph.find_nodes(op="placeholder")
        return [_find_open(node.meta.get("val")) for node in inputs]

    @cached_property
    def _call(self) -> Callable[..., Any]:
        copied = fx.Graph()
        copied.output(copied.graph_copy(self.graph, {}))
        return fx.GraphModule(nn.Module(), use_functions(protect(copied))).forward


def _find_open(value: Any) -> tuple[int, ...]:
    return tuple(axis for axis, size in enumerate(shape_of(value)) if not isinstance(size, int))
