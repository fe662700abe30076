"""Padding and resampling: positions are added along some axes, which keep their size; the others pass."""

from collections.abc import Collection

from widthwise.graph.call import Call, Outcome
from widthwise.graph.rules.registry import rule
from widthwise.graph.term import Frozen, Term

__all__: list[str] = []


@rule("pad", "constant_pad_nd")
def pad(call: Call) -> Outcome:
    """Pairs of counts, last axis first; axes that get none pass."""
    pairs = call.arguments["pad"]
    rank = len(call.axes("self"))
    return _resize(call, {rank - 1 - i // 2 for i, number in enumerate(pairs) if number != 0})


@rule(
    "upsample_nearest1d", "upsample_nearest2d", "upsample_nearest3d", "upsample_linear1d", "upsample_bilinear2d",
    "upsample_bicubic2d", "upsample_trilinear3d",
)  # fmt: skip
def upsample(call: Call) -> Outcome:
    """Batch and channels pass, the axes behind them are resampled."""
    argument = "input" if "input" in call.arguments else "self"
    return _resize(call, range(2, len(call.axes(argument))), argument)


def _resize(call: Call, chosen: Collection[int], argument: str = "self") -> Outcome:
    axes = call.axes(argument)
    call.freeze([axes[axis] for axis in chosen], " changes the number of positions along this axis")
    shape = call.output_shapes()[0]
    resized: list[Term] = [Frozen(shape[i], call.name) if i in chosen else term for i, term in enumerate(axes)]
    return Outcome(outputs=(tuple(resized),))
