"""Operators that put axes side by side: cat, stack, and writes into a part of an axis."""

from widthwise.graph.call import Call, Outcome
from widthwise.graph.rules.part import cut_slice
from widthwise.graph.rules.registry import rule
from widthwise.graph.term import Frozen, join_segments, size_of

__all__: list[str] = []


@rule("cat")
def cat(call: Call) -> Outcome:
    """One axis is the operands' side by side, the others agree."""
    every = [call.axes(node) for node in call.arguments["tensors"]]
    # PyTorch lets an empty vector be concatenated with anything.
    every = [axes for axes in every if not (len(axes) == 1 and size_of(axes[0]) == 0)] or every[:1]
    dim = call.arguments["dim"] % len(every[0])
    for axes in every[1:]:
        for axis, (one, other) in enumerate(zip(every[0], axes, strict=True)):
            if axis != dim:
                call.unify(one, other)
    joined = join_segments(tuple(axes[dim] for axes in every))
    return Outcome(outputs=((*every[0][:dim], joined, *every[0][dim + 1 :]),))


@rule("stack")
def stack(call: Call) -> Outcome:
    """All axes agree; the new one counts the operands."""
    nodes = call.arguments["tensors"]
    axes = list(call.broadcast([call.axes(node) for node in nodes]))
    axes.insert(call.arguments["dim"] % (len(axes) + 1), Frozen(len(nodes), call.name))
    return Outcome(outputs=(tuple(axes),))


@rule("slice_scatter")
def slice_scatter(call: Call) -> Outcome:
    """What `x[:, 2:4] = y` becomes: the part that is written agrees with what is written into it."""
    dim, axes = call.dim(), call.axes("self")
    source = call.axes("src")
    middle, sizes = cut_slice(call, axes[dim], size_of(source[dim]))
    for axis, (one, other) in enumerate(zip(axes, source, strict=True)):
        call.unify(middle if axis == dim else one, other)
    return Outcome(outputs=(call.axes("self"),), sizes=sizes)


@rule("select_scatter")
def select_scatter(call: Call) -> Outcome:
    """What `x[:, 2] = y` becomes: the axis keeps its size, the others agree."""
    dim, axes = call.dim(), call.axes("self")
    call.freeze([axes[dim]], " writes to one position of this axis")
    for one, other in zip((*axes[:dim], *axes[dim + 1 :]), call.axes("src"), strict=True):
        call.unify(one, other)
    return Outcome(outputs=(call.axes("self"),))
