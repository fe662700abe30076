"""Pooling: channels pass, the axes along which the window slides keep their size."""

from widthwise.graph.call import Axes, Call, Outcome
from widthwise.graph.rules.registry import rule
from widthwise.graph.term import Frozen

__all__: list[str] = []


@rule("max_pool1d", "avg_pool1d", "adaptive_avg_pool1d", "adaptive_max_pool1d", "max_pool1d_with_indices")
def pool_1d(call: Call) -> Outcome:
    """The last axis is pooled."""
    return _pool(call, 1)


@rule(
    "max_pool2d", "avg_pool2d", "adaptive_avg_pool2d", "_adaptive_avg_pool2d", "adaptive_max_pool2d",
    "max_pool2d_with_indices",
)  # fmt: skip
def pool_2d(call: Call) -> Outcome:
    """The last two axes are pooled."""
    return _pool(call, 2)


@rule(
    "max_pool3d", "avg_pool3d", "adaptive_avg_pool3d", "_adaptive_avg_pool3d", "adaptive_max_pool3d",
    "max_pool3d_with_indices",
)  # fmt: skip
def pool_3d(call: Call) -> Outcome:
    """The last three axes are pooled."""
    return _pool(call, 3)


def _pool(call: Call, rank: int) -> Outcome:
    argument = "input" if "input" in call.arguments else "self"
    axes = call.axes(argument)
    call.freeze(axes[-rank:], " slides along this axis")
    outputs: list[Axes] = [
        (*axes[:-rank], *(Frozen(size, call.name) for size in shape[-rank:])) for shape in call.output_shapes()
    ]
    return Outcome(outputs=tuple(outputs))
