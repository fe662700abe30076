"""Operators that fold an axis away, or work along it.

Sums and extrema over units are read; means, variances count only the units that are there. What depends on the order or
the number of units along an axis (softmax, cumulative sums) freezes it.
"""

import math

from widthwise.graph.call import Axes, Call, Outcome
from widthwise.graph.rules.registry import rule
from widthwise.graph.term import Frozen, Term, atoms_of, count, size_of

__all__: list[str] = []


@rule("sum", "mean", "amax", "amin", "max.default", "min.default", "logsumexp")
def reduce(call: Call) -> Outcome:
    """Fold the given axes away, or all of them."""
    return _reduce(call)


@rule("linalg_vector_norm", "norm")
def vector_norm(call: Call) -> Outcome:
    """Fold the given axes away; orders below 0 have no neutral element, so their axes keep their size."""
    order = call.arguments.get("ord", call.arguments.get("p"))
    if isinstance(order, int | float) and order < 0:
        axes = call.axes("self")
        call.freeze([axes[axis] for axis in call.dims()], f" takes a norm of order {order} along this axis")
    return _reduce(call)


@rule("var", "std", "var_mean", "std_mean")
def spread(call: Call) -> Outcome:
    """Fold the given axes away; an axis that could be left with too few positions to divide by keeps its size."""
    axes = [call.axes("self")[axis] for axis in call.dims()]
    correction = call.arguments.get("correction", call.arguments.get("unbiased", True))
    if math.prod(map(_fewest, axes)) <= (1 if correction is None else correction):
        call.freeze(axes, " divides by the number of positions less one")
    return _reduce(call)


@rule(
    "max.dim", "min.dim", "argmax", "argmin", "median.dim", "any.default", "any.dim", "any.dims", "all.default",
    "all.dim", "all.dims",
)  # fmt: skip
def locate(call: Call) -> Outcome:
    """Fold the given axes away; their positions are numbered or told apart, so they keep their size."""
    axes = call.axes("self")
    call.freeze([axes[axis] for axis in call.dims()], " tells the positions of this axis apart")
    return _reduce(call)


@rule("softmax", "_softmax", "log_softmax", "_log_softmax", "cumsum", "flip", "roll")
def work_along(call: Call) -> Outcome:
    """The given axes keep their size; roll without axes works along all of them."""
    axes = call.axes("self")
    chosen = call.dims("dims") if "dims" in call.arguments else call.dims()
    call.freeze([axes[axis] for axis in chosen], " works along this axis")
    return Outcome(outputs=(call.axes("self"),))


def _fewest(term: Term) -> float:
    """Return how many positions one unit of each atom leaves of an axis; an axis of dynamic size is long."""
    return count(term, {atom.key: 1 for atom in atoms_of(term)}) if isinstance(size_of(term), int) else math.inf


def _reduce(call: Call) -> Outcome:
    axes, reduced = call.axes("self"), call.dims()
    for axis in reduced:
        call.read(axes[axis])
    result = _drop(axes, reduced, keep=bool(call.arguments.get("keepdim", False)))
    return Outcome(outputs=tuple(result for _ in call.output_shapes()))


def _drop(axes: Axes, reduced: tuple[int, ...], *, keep: bool) -> Axes:
    result: list[Term] = []
    for axis, term in enumerate(axes):
        if axis not in reduced:
            result.append(term)
        elif keep:
            result.append(Frozen(1, "size 1"))
    return tuple(result)
