"""Norms of weights, and likeness of vectors: sums over an axis for which dropped units count as zero."""

from widthwise.graph.call import Call, Outcome
from widthwise.graph.rules.registry import rule

__all__: list[str] = []


@rule("_weight_norm", "_weight_norm_interface")
def weight_norm(call: Call) -> Outcome:
    """Direction v and length g along one axis; the norm is taken over all the others [Salimans & Kingma 2016].

    Axis -1 is that of no length: the norm is one number.
    """
    axes, lengths = call.axes("v"), call.axes("g")
    dim = call.arguments["dim"]
    if dim != -1:
        call.unify(axes[dim], lengths[dim])
    for axis, term in enumerate(axes):
        if axis != dim:
            call.read(term)
    return Outcome(outputs=tuple(call.axes("v") if i == 0 else lengths for i in range(len(call.output_shapes()))))


@rule("cosine_similarity")
def cosine_similarity(call: Call) -> Outcome:
    """One axis is summed over."""
    axes = call.broadcast([call.axes("x1"), call.axes("x2")])
    dim = call.arguments["dim"] % len(axes)
    call.read(axes[dim])
    return Outcome(outputs=((*axes[:dim], *axes[dim + 1 :]),))


@rule("cdist", "_cdist_forward")
def cdist(call: Call) -> Outcome:
    """Distances of all pairs of rows; the last axes are summed over."""
    one, other = call.axes("x1"), call.axes("x2")
    call.contract(one[-1], other[-1])
    return Outcome(outputs=((*call.broadcast([one[:-2], other[:-2]]), one[-2], other[-2]),))
