"""Operators that take an axis apart: split, chunk, slice, select, and gated linear units."""

import torch

from widthwise.graph.call import Axes, Call, Outcome
from widthwise.graph.rules.registry import rule
from widthwise.graph.term import Frozen, Size, Sum, Term, join_segments, quotient, size_of

__all__ = ["cut_slice"]


@rule("split", "split_with_sizes", "chunk", "tensor_split.indices", "tensor_split.sections")
def split(call: Call) -> Outcome:
    """An axis is cut into segments; their kept sizes need not be equal, so they are written out."""
    dim, axes = call.dim(), call.axes("self")
    lengths = tuple(shape[dim] for shape in call.output_shapes())
    if sum(lengths) != size_of(axes[dim]):
        call.freeze([axes[dim]], " takes parts that do not lie side by side")
        pieces = [Frozen(length, call.name) for length in lengths]
        return Outcome(outputs=tuple((*axes[:dim], piece, *axes[dim + 1 :]) for piece in pieces))
    segments = call.solver.cut(axes[dim], lengths, f"{call.name} cuts across units")
    outputs = tuple((*axes[:dim], segment, *axes[dim + 1 :]) for segment in segments)
    if all(isinstance(segment, Frozen) for segment in segments):
        return Outcome(outputs=outputs)
    return Outcome(outputs=outputs, sizes={"split_sizes": segments}, target=torch.ops.aten.split_with_sizes.default)


@rule("glu")
def glu(call: Call) -> Outcome:
    """Two halves of an axis are multiplied, so they agree."""
    dim, axes = call.dim(), call.axes("self")
    half = quotient(size_of(axes[dim]), 2)
    assert half is not None
    value, gate = call.solver.cut(axes[dim], (half, half), f"{call.name} cuts across units")
    call.unify(value, gate)
    return Outcome(outputs=((*axes[:dim], call.solver.resolve(value), *axes[dim + 1 :]),))


@rule("unbind.int")
def unbind(call: Call) -> Outcome:
    """An axis is taken apart position by position, so it keeps its size."""
    dim, axes = call.dim(), call.axes("self")
    call.freeze([axes[dim]], " takes this axis apart")
    return Outcome(outputs=tuple(_without(axes, dim) for _ in call.output_shapes()))


@rule("select.int", "select_copy.int")
def select(call: Call) -> Outcome:
    """One position of an axis is picked, so the segment it lies in keeps its size."""
    dim, axes, position = call.dim(), call.axes("self"), call.arguments["index"]
    axis, outputs = axes[dim], (_without(axes, dim),)
    if not isinstance(axis, Sum) or not isinstance(position, int) or not isinstance(size_of(axis), int):
        call.freeze([axis], " picks one position of this axis")
        return Outcome(outputs=outputs)
    before: list[Term] = []
    within = position % int(size_of(axis))
    for part in axis.parts:
        if within < int(size_of(part)):
            call.freeze([part], " picks one position of this axis")
            break
        before.append(part)
        within -= int(size_of(part))
    return Outcome(outputs=outputs, sizes={"index": join_segments((*before, Frozen(within, call.name)))})


@rule("slice.Tensor", "slice_copy.Tensor")
def slice_axis(call: Call) -> Outcome:
    """A stretch of an axis is kept, or one position of each block; other strides and dynamic bounds freeze it."""
    dim, axes = call.dim(), call.axes("self")
    middle, sizes = cut_slice(call, axes[dim], call.output_shapes()[0][dim])
    return Outcome(outputs=((*axes[:dim], middle, *axes[dim + 1 :]),), sizes=sizes)


def cut_slice(call: Call, axis: Term, length: Size) -> tuple[Term, dict[str, Term]]:
    """Return the part of an axis that a slice of `length` positions keeps, and the slice's bounds as kept counts."""
    size, start, step = size_of(axis), call.arguments["start"] or 0, call.arguments.get("step", 1)
    if size == length:
        return axis, {}
    if isinstance(size, int) and isinstance(start, int) and start >= 0 and length * step == size:
        # One position of each block of `step`: (blocks x step), of which a block may go whole.
        blocks, block = call.solver.split(axis, (length, step), f"{call.name} cuts across units")
        call.freeze([block], " takes one position of each block of this size")
        return blocks, {}
    if not all(isinstance(value, int) for value in (size, length, start)) or step != 1:
        call.freeze([axis], " takes a strided or dynamic part of this axis")
        return Frozen(length, call.name), {}
    first = max(start + size, 0) if start < 0 else min(start, size)
    pieces = call.solver.cut(axis, (first, length, size - first - length), f"{call.name} cuts across units")
    return pieces[1], {"start": pieces[0], "end": join_segments(pieces[:2])}


def _without(axes: Axes, dim: int) -> Axes:
    return (*axes[:dim], *axes[dim + 1 :])
