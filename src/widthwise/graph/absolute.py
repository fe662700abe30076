"""Say in a graph which axes and positions an operator takes, where the traced arguments leave it to the sizes.

`x.squeeze()` removes whatever has size 1, and `x[:, -3:]` counts from the end. At another width, or in a batch of one
sample, both would mean something else than what was traced.
"""

import torch
from torch import fx

from widthwise.graph.overload import overload_name, schema_arguments
from widthwise.graph.shape import shape_of

__all__ = ["count_from_front", "name_squeezed_axes"]

_POSITIONS = {
    "aten::slice": ("start", "end"), "aten::slice_copy": ("start", "end"), "aten::slice_scatter": ("start", "end"),
    "aten::select": ("index",), "aten::select_copy": ("index",), "aten::select_scatter": ("index",),
}  # fmt: skip


def name_squeezed_axes(graph: fx.Graph) -> None:
    """Rewrite every squeeze of a graph to list the axes that it removes; in place."""
    for node in graph.nodes:
        if overload_name(node.target).partition(".")[0] != "aten::squeeze":
            continue
        source, chosen = node.args[0], node.args[1] if len(node.args) > 1 else node.kwargs.get("dim")
        shape = shape_of(source.meta["val"])
        axes = range(len(shape)) if chosen is None else [chosen] if isinstance(chosen, int) else chosen
        removed = sorted({axis % len(shape) for axis in axes if shape[axis % len(shape)] == 1} if shape else ())
        node.target = torch.ops.aten.squeeze.dims
        node.args, node.kwargs = (source, removed), {}


def count_from_front(graph: fx.Graph) -> None:
    """Rewrite positions that are counted from the end of an axis of fixed size; in place."""
    for node in graph.nodes:
        names = _POSITIONS.get(overload_name(node.target).partition(".")[0], ())
        if not names:
            continue
        order = [argument.name for argument in schema_arguments(node.target)]
        named = {**dict(zip(order, node.args, strict=False)), **node.kwargs}
        shape = shape_of(named["self"].meta["val"])
        size = shape[named.get("dim", 0) % len(shape)]
        if not isinstance(size, int):
            continue
        for name in names:
            if isinstance(named.get(name), int) and named[name] < 0:
                named[name] = max(named[name] + size, 0)
        node.args, node.kwargs = tuple(named[name] for name in order if name in named), {}
