"""Convolutions: plain, grouped, depthwise and transposed, in one to three dimensions.

With g groups the channel axes are g x (channels per group). The group factor of input and output is one and the same;
an axis of its own, so that whole groups can go. Positions along which the kernel slides keep their number; those that
it visits one by one, without looking at neighbours, pass.
"""

from widthwise.graph.call import Call, Outcome
from widthwise.graph.rules.registry import rule
from widthwise.graph.term import Frozen, Term, multiply_factors, quotient, size_of

__all__: list[str] = []


@rule("conv1d", "conv2d", "conv3d")
def convolution(call: Call) -> Outcome:
    """Weight (groups x out, in, kernel): contracts the input channels of each group."""
    groups, inputs = _split_groups(call, call.axes("input")[-_rank(call) - 1])
    call.contract(inputs, call.axes("weight")[1])
    factor, _ = _split_groups(call, call.axes("weight")[0])
    call.unify(factor, groups)
    return _finish(call, call.axes("weight")[0], groups, contracted=1)


@rule("conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
def transposed_convolution(call: Call) -> Outcome:
    """Weight (groups x in, out, kernel): contracts the input channels of each group."""
    groups, inputs = _split_groups(call, call.axes("input")[-_rank(call) - 1])
    factor, rest = _split_groups(call, call.axes("weight")[0])
    call.unify(factor, groups)
    call.contract(inputs, rest)
    return _finish(call, multiply_factors((groups, call.axes("weight")[1])), groups, contracted=0)


def _rank(call: Call) -> int:
    """Return the number of axes along which the kernel slides."""
    return len(call.axes("weight")) - 2


def _split_groups(call: Call, channels: Term) -> tuple[Term, Term]:
    """Return a channel axis as (groups, channels per group)."""
    groups = call.arguments["groups"]
    per_group = quotient(size_of(channels), groups)
    assert per_group is not None
    factor, rest = call.solver.split(channels, (groups, per_group), f"groups of {call.name}")
    return factor, rest


def _finish(call: Call, channels: Term, groups: Term, *, contracted: int) -> Outcome:
    rank = _rank(call)
    mixed = [axis for axis in range(-rank, 0) if not _visits_one_by_one(call, axis)]
    call.freeze([call.axes("input")[axis] for axis in mixed], " slides along this axis")
    call.freeze(call.axes("weight")[2:], " has a kernel of this size")
    if call.has("bias"):
        call.unify(channels, call.axes("bias")[0])
    axes, shape = call.axes("input"), call.output_shapes()[0]
    positions = [Frozen(shape[axis], call.name) if axis in mixed else axes[axis] for axis in range(-rank, 0)]
    outputs = ((*axes[: -rank - 1], channels, *positions),)
    return Outcome(outputs=outputs, sizes={"groups": groups}, contracted={"weight": contracted})


def _visits_one_by_one(call: Call, axis: int) -> bool:
    """Whether a kernel takes each position along an axis by itself: it is 1 long, and so are its steps, all inside."""

    def along(name: str) -> int:
        values = call.arguments.get(name, 0)
        if isinstance(values, str):
            # "same" and "valid" add nothing around a kernel of length 1.
            return 0
        return values if isinstance(values, int) else values[axis if len(values) > 1 else 0]

    length = size_of(call.axes("weight")[axis])
    return length == along("stride") == 1 and along("padding") == along("output_padding") == 0
