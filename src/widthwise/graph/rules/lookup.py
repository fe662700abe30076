"""Look-ups: positions are addressed by number, so the axis that is looked into keeps its size."""

import math
from typing import Any

import torch

from widthwise.graph.call import Axes, Call, Outcome
from widthwise.graph.rules.registry import rule
from widthwise.graph.shape import shape_of
from widthwise.graph.term import Frozen, size_of

__all__: list[str] = []


@rule("embedding")
def embedding(call: Call) -> Outcome:
    """Table (vocabulary, units): the axes of the indices, then the units."""
    weight = call.axes("weight")
    call.freeze([weight[0]], " addresses its vocabulary by number")
    return Outcome(outputs=((*call.axes("indices"), *weight[1:]),))


@rule("embedding_bag", "_embedding_bag")
def embedding_bag(call: Call) -> Outcome:
    """Sums or means of rows of a table (vocabulary, units)."""
    weight = call.axes("weight")
    call.freeze([weight[0]], " addresses its vocabulary by number")
    for name in ("indices", "offsets", "per_sample_weights"):
        if call.has(name):
            call.freeze(call.axes(name), " gathers this axis in bags")
    first, *others = call.output_shapes()
    units = size_of(weight[1])
    # The last output, the places of the largest entries, has the units too where the mode asks for them.
    rest = [
        tuple(weight[1] if i and size == units else Frozen(size, call.name) for i, size in enumerate(shape))
        for shape in others
    ]
    return Outcome(outputs=((Frozen(first[0], call.name), weight[1]), *rest))


@rule("index.Tensor", "_unsafe_index.Tensor")
def index(call: Call) -> Outcome:
    """Indexed axes give way to those of the indices, in place of the first one or, where they stand apart, in front."""
    axes = call.axes("self")
    found = _look_up(call, axes)
    return call.freeze_everything(f"{call.name} selects nothing") if found is None else Outcome(outputs=(found,))


@rule("index_put", "_unsafe_index_put")
def index_put(call: Call) -> Outcome:
    """What `x[i] = y` becomes: the indexed axes keep their size, the others agree with what is written."""
    axes = call.axes("self")
    found = _look_up(call, axes)
    if found is None:
        return call.freeze_everything(f"{call.name} writes to nothing")
    call.broadcast([found, call.axes("values")])
    for table in filter(None, call.arguments["indices"]):
        call.freeze(call.axes(table), " writes where this axis says")
    return Outcome(outputs=(call.axes("self"),))


@rule("gather", "take_along_dim")
def gather(call: Call) -> Outcome:
    """Along one axis positions are picked by number; along the others index and source go together."""
    if call.arguments["dim"] is None:
        return call.freeze_everything(f"{call.name} takes from all axes as one")
    found = call.axes("indices" if "indices" in call.arguments else "index")
    _tie_to_index(call, found)
    return Outcome(outputs=(tuple(call.solver.resolve(term) for term in found),))


@rule("scatter", "scatter_add", "scatter_reduce")
def scatter(call: Call) -> Outcome:
    """What is written goes together with its index, and both with the target except along one axis."""
    found = call.axes("index")
    _tie_to_index(call, found)
    if call.has("src"):
        for one, other in zip(found, call.axes("src"), strict=True):
            if size_of(one) == size_of(other):
                call.unify(one, other)
            else:
                call.freeze([one, other], " takes a part of this axis")
    return Outcome(outputs=(call.axes("self"),))


@rule("index_add", "index_copy", "index_reduce")
def index_add(call: Call) -> Outcome:
    """What is added agrees with the target except along the axis that is addressed by number."""
    dim, axes = call.dim(), call.axes("self")
    source = call.axes("source")
    call.freeze([axes[dim], source[dim], *call.axes("index")], " addresses this axis by number")
    for axis, (one, other) in enumerate(zip(axes, source, strict=True)):
        if axis != dim:
            call.unify(one, other)
    return Outcome(outputs=(call.axes("self"),))


@rule("index_select")
def index_select(call: Call) -> Outcome:
    """One axis gives way to that of the indices."""
    dim, axes = call.dim(), call.axes("self")
    call.freeze([axes[dim]], " addresses this axis by number")
    return Outcome(outputs=((*axes[:dim], *call.axes("index"), *axes[dim + 1 :]),))


def _look_up(call: Call, axes: Axes) -> Axes | None:
    """Return the axes of what indices find; axes that they address are frozen. None where there is no index."""
    indices = list(call.arguments["indices"])
    tables = [table for table in indices if table is not None]
    if not tables:
        return None
    masks = [table for table in tables if table.meta["val"].dtype in (torch.bool, torch.uint8)]
    if masks:
        return _select(call, axes, indices) if len(tables) == 1 else None
    chosen = [axis for axis, table in enumerate(indices) if table is not None]
    call.freeze([axes[axis] for axis in chosen], " addresses this axis by number")
    found = call.broadcast([call.axes(table) for table in tables])
    start = chosen[0] if chosen == list(range(chosen[0], chosen[0] + len(chosen))) else 0
    rest = [call.solver.resolve(term) for axis, term in enumerate(axes) if axis not in chosen]
    return (*rest[:start], *found, *rest[start:])


def _select(call: Call, axes: Axes, indices: list[Any]) -> Axes:
    """Return the axes of what one mask selects: those that it covers give way to one of a size not known before."""
    first = next(axis for axis, table in enumerate(indices) if table is not None)
    mask = call.axes(indices[first])
    covered = axes[first : first + len(mask)]
    call.freeze([*covered, *mask], " selects along this axis by a mask")
    size = (
        shape_of(call.node.meta.get("val"))[first]
        if "values" not in call.arguments
        else math.prod(size_of(term) for term in covered)
    )
    return (*axes[:first], Frozen(size, call.name), *axes[first + len(mask) :])


def _tie_to_index(call: Call, found: Axes) -> None:
    dim, axes = call.dim(), call.axes("self")
    for axis, (one, other) in enumerate(zip(axes, found, strict=True)):
        if axis == dim:
            call.freeze([one, other], " addresses this axis by number")
        elif size_of(one) == size_of(other):
            call.unify(one, other)
        else:
            call.freeze([one, other], " takes a part of this axis")
