"""Operators that PyTorch defines by a reshape, a permutation or a slice: a trace may hold them as they were written."""

import torch

from widthwise.graph.call import Call, Outcome
from widthwise.graph.rules.part import cut_slice
from widthwise.graph.rules.registry import rule
from widthwise.graph.term import multiply_factors

__all__: list[str] = []


@rule("flatten.using_ints", "ravel")
def flatten(call: Call) -> Outcome:
    """Axes from one to another become one."""
    axes = call.axes("self")
    if not axes:
        return Outcome(outputs=((multiply_factors(()),),))
    first, last = (
        call.arguments.get(name, default) % len(axes) for name, default in (("start_dim", 0), ("end_dim", -1))
    )
    return Outcome(outputs=((*axes[:first], multiply_factors(axes[first : last + 1]), *axes[last + 1 :]),))


@rule("unflatten.int")
def unflatten(call: Call) -> Outcome:
    """One axis becomes several."""
    axes, dim = call.axes("self"), call.dim()
    count = len(call.arguments["sizes"])
    sizes = call.output_shapes()[0][dim : dim + count]
    factors = call.solver.split(axes[dim], sizes, f"{call.name} cuts across units")
    return Outcome(outputs=((*axes[:dim], *factors, *axes[dim + 1 :]),), sizes={"sizes": factors})


@rule("view_as", "reshape_as")
def reshape_as(call: Call) -> Outcome:
    """Read as one long product and cut again at the sizes of another tensor."""
    other = call.axes("other")
    whole = multiply_factors(call.axes("self"))
    axes = call.solver.split(whole, call.output_shapes()[0], f"{call.name} cuts across units")
    for one, two in zip(axes, other, strict=True):
        call.unify(one, two)
    return Outcome(outputs=(call.axes("other"),))


@rule("expand_as")
def expand_as(call: Call) -> Outcome:
    """Axes of size 1 are repeated as often as another tensor has positions."""
    call.broadcast([call.axes("other"), call.axes("self")])
    return Outcome(outputs=(call.axes("other"),))


@rule("movedim.int", "movedim.intlist", "moveaxis.int", "moveaxis.intlist")
def movedim(call: Call) -> Outcome:
    """Some axes are put elsewhere, the others keep their order."""
    axes = call.axes("self")
    sources, targets = (call.dims(name) for name in ("source", "destination"))
    rest = iter([term for axis, term in enumerate(axes) if axis not in sources])
    placed = dict(zip(targets, (axes[axis] for axis in sources), strict=True))
    return Outcome(outputs=(tuple([placed[axis] if axis in placed else next(rest) for axis in range(len(axes))]),))


@rule("swapaxes", "swapdims")
def swap(call: Call) -> Outcome:
    """Two axes change places."""
    axes = list(call.axes("self"))
    names = ("axis0", "axis1") if "axis0" in call.arguments else ("dim0", "dim1")
    one, other = (call.dim(name) for name in names)
    if axes:
        axes[one], axes[other] = axes[other], axes[one]
    return Outcome(outputs=(tuple(axes),))


@rule("mT", "mH", "adjoint", "matrix_H")
def swap_last(call: Call) -> Outcome:
    """The last two axes change places."""
    axes = call.axes("self")
    return Outcome(outputs=((*axes[:-2], *axes[:-3:-1]),))


@rule("narrow")
def narrow(call: Call) -> Outcome:
    """A stretch of an axis is kept: a slice that is told its length."""
    dim, axes = call.dim(), call.axes("self")
    middle, sizes = cut_slice(call, axes[dim], call.output_shapes()[0][dim])
    return Outcome(
        outputs=((*axes[:dim], middle, *axes[dim + 1 :]),),
        sizes=sizes or {"length": middle},
        target=torch.ops.aten.slice.Tensor if sizes else None,
    )


@rule("tile")
def tile(call: Call) -> Outcome:
    """Axes of which there are copies keep their size; fewer numbers than axes speak of the last ones."""
    axes, times = call.axes("self"), call.arguments["dims"]
    if len(times) > len(axes):
        return call.freeze_everything(f"{call.name} makes new axes")
    padded = [*[1] * (len(axes) - len(times)), *times]
    call.freeze([term for term, number in zip(axes, padded, strict=True) if number != 1], " repeats this axis")
    repeated = call.frozen_output().outputs[0]
    return Outcome(outputs=(tuple(a if n == 1 else b for a, n, b in zip(axes, padded, repeated, strict=True)),))
