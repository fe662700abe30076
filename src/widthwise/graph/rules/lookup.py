"""Look-ups: positions are addressed by number, so the axis that is looked into keeps its size."""

import torch

from widthwise.graph.call import Call, Outcome
from widthwise.graph.rules.registry import rule

__all__: list[str] = []


@rule("embedding")
def embedding(call: Call) -> Outcome:
    """Table (vocabulary, units): the axes of the indices, then the units."""
    weight = call.axes("weight")
    call.freeze([weight[0]], " addresses its vocabulary by number")
    return Outcome(outputs=((*call.axes("indices"), *weight[1:]),))


@rule("index.Tensor")
def index(call: Call) -> Outcome:
    """Indexed axes give way to those of the indices, in place of the first one or, where they stand apart, in front."""
    indices = list(call.arguments["indices"])
    tables = [table for table in indices if table is not None]
    if not tables or any(table.meta["val"].dtype in (torch.bool, torch.uint8) for table in tables):
        return call.freeze_everything(f"{call.name} selects by a mask, or not at all")
    axes = call.axes("self")
    chosen = [axis for axis, table in enumerate(indices) if table is not None]
    call.freeze([axes[axis] for axis in chosen], " addresses this axis by number")
    found = call.broadcast([call.axes(table) for table in tables])
    start = chosen[0] if chosen == list(range(chosen[0], chosen[0] + len(chosen))) else 0
    rest = [term for axis, term in enumerate(axes) if axis not in chosen]
    return Outcome(outputs=((*rest[:start], *found, *rest[start:]),))


@rule("index_select")
def index_select(call: Call) -> Outcome:
    """One axis gives way to that of the indices."""
    dim, axes = call.dim(), call.axes("self")
    call.freeze([axes[dim]], " addresses this axis by number")
    return Outcome(outputs=((*axes[:dim], *call.axes("index"), *axes[dim + 1 :]),))
