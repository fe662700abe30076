"""Operators that fold, unfold, reorder or repeat axes without touching the entries."""

from widthwise.graph.call import Axes, Call, Outcome
from widthwise.graph.rules.registry import rule
from widthwise.graph.shape import traced_size
from widthwise.graph.term import Frozen, Size, Term, atoms_of, multiply_factors, size_of

__all__: list[str] = []


@rule("view.default", "reshape.default", "_unsafe_view", "_reshape_copy", "view_copy.default")
def reshape(call: Call) -> Outcome:
    """All axes are read as one long product and cut again at the new sizes."""
    argument = "size" if "size" in call.arguments else "shape"
    requested = call.arguments[argument]
    axes = _fold(call, call.axes("self"), call.output_shapes()[0])
    # A size that is both dynamic and in part units cannot be written down; -1 stands for one such size at most.
    dynamic = [(axis, size) for axis, size in zip(axes, requested, strict=True) if not isinstance(size_of(axis), int)]
    vague = [axis for axis, _ in dynamic if any(True for _ in atoms_of(axis))]
    if len(vague) + sum(1 for axis, size in dynamic if size == -1 and axis not in vague) > 1:
        call.freeze(vague, " folds units into several axes of dynamic size")
        axes = tuple(call.solver.resolve(axis) for axis in axes)
    return Outcome(outputs=(axes,), sizes={argument: axes})


def _fold(call: Call, axes: Axes, shape: tuple[Size, ...]) -> Axes:
    """Return axes of these sizes. Last ones that keep their size are themselves, whatever happens before them."""
    same = 0
    while same < min(len(axes), len(shape)) and size_of(axes[-1 - same]) == shape[-1 - same]:
        same += 1
    front = len(axes) - same, len(shape) - same
    whole = multiply_factors(axes[: front[0]])
    made = call.solver.split(whole, shape[: front[1]], f"{call.name} cuts across units")
    return (*made, *axes[front[0] :])


@rule("squeeze.dims")
def squeeze(call: Call) -> Outcome:
    """Axes of size 1 go; tracing has named them."""
    removed = call.arguments["dim"]
    return Outcome(outputs=(tuple(term for axis, term in enumerate(call.axes("self")) if axis not in removed),))


@rule("unsqueeze")
def unsqueeze(call: Call) -> Outcome:
    """A new axis of size 1."""
    axes = list(call.axes("self"))
    axes.insert(call.arguments["dim"] % (len(axes) + 1), Frozen(1, "size 1"))
    return Outcome(outputs=(tuple(axes),))


@rule("permute")
def permute(call: Call) -> Outcome:
    """Axes in another order."""
    axes = call.axes("self")
    return Outcome(outputs=(tuple(axes[axis] for axis in call.dims("dims")) if axes else (),))


@rule("transpose.int")
def transpose(call: Call) -> Outcome:
    """Two axes change places."""
    axes = list(call.axes("self"))
    if axes:
        one, other = call.dim("dim0"), call.dim("dim1")
        axes[one], axes[other] = axes[other], axes[one]
    return Outcome(outputs=(tuple(axes),))


@rule("t", "numpy_T")
def matrix_transpose(call: Call) -> Outcome:
    """Axes in reverse order."""
    return Outcome(outputs=(call.axes("self")[::-1],))


@rule("expand")
def expand(call: Call) -> Outcome:
    """Axes of size 1 are repeated: positions all alike, so their number follows whatever they meet; the others pass."""
    axes = call.axes("self")
    made = call.fresh_output()
    new = len(made) - len(axes)
    kept = zip(axes, made[new:], strict=True)
    result = (*made[:new], *(fresh if size_of(term) == 1 else term for term, fresh in kept))
    return Outcome(outputs=(result,), sizes={"size": result})


@rule("repeat")
def repeat(call: Call) -> Outcome:
    """An axis of size 1 is repeated as by `expand`; copies of a longer one stand side by side."""
    made, axes = call.fresh_output(), call.axes("self")
    times = call.arguments["repeats"]
    new = len(made) - len(axes)
    result: list[Term] = list(made[:new])
    counts: list[Term | None] = list(made[:new])
    for term, fresh, number in zip(axes, made[new:], times[new:], strict=True):
        is_single = size_of(term) == 1
        result.append(fresh if is_single else multiply_factors((Frozen(traced_size(number), call.name), term)))
        counts.append(fresh if is_single else None)
    return Outcome(outputs=(tuple(result),), sizes={"repeats": tuple(counts)})


@rule("repeat_interleave.self_int")
def repeat_interleave(call: Call) -> Outcome:
    """Each position of an axis is repeated in place."""
    number, axes = call.arguments["repeats"], list(call.axes("self"))
    if call.arguments["dim"] is None or not isinstance(number, int):
        return call.freeze_everything(f"{call.name} repeats across axes, or a dynamic number of times")
    dim = call.dim()
    is_single = size_of(axes[dim]) == 1
    axes[dim] = call.fresh_output()[dim] if is_single else multiply_factors((axes[dim], Frozen(number, call.name)))
    sizes = {"output_size": axes[dim]} if call.arguments["output_size"] is not None else {}
    return Outcome(outputs=(tuple(axes),), sizes={**sizes, "repeats": axes[dim]} if is_single else sizes)
