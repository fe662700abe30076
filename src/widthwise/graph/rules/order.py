"""Operators for which the order of positions counts: sorting, running sums, triangles, windows, Fourier transforms.

The axis that they work along keeps its size; the others pass.
"""

from collections.abc import Sequence

from widthwise.graph.call import Axes, Call, Outcome
from widthwise.graph.rules.registry import rule
from widthwise.graph.term import Frozen

__all__: list[str] = []


@rule("sort", "argsort", "topk", "kthvalue", "mode", "cumprod", "cummax", "cummin", "logcumsumexp", "unfold")
def arrange(call: Call) -> Outcome:
    """Positions along one axis are put in order, or accumulated."""
    return _resize(call, [call.dim("dimension" if "dimension" in call.arguments else "dim")])


@rule("tril", "triu")
def triangle(call: Call) -> Outcome:
    """The last two axes are told apart by position."""
    return _resize(call, [-2, -1])


@rule("_fft_r2c", "_fft_c2r", "_fft_c2c", "fft_rfft", "fft_irfft", "fft_fft", "fft_ifft")
def transform(call: Call) -> Outcome:
    """Positions along the given axes are mixed."""
    return _resize(call, call.dims())


def _resize(call: Call, chosen: Sequence[int]) -> Outcome:
    """Freeze some axes; each output has the others, and where its rank is higher new ones behind them."""
    axes = call.axes("self")
    if not axes:
        return call.frozen_output()
    frozen = {axis % len(axes) for axis in chosen}
    call.freeze([axes[axis] for axis in frozen], " works along this axis")
    outputs: list[Axes] = []
    for shape in call.output_shapes():
        if len(shape) < len(axes):
            outputs.append(tuple(term for axis, term in enumerate(axes) if axis not in frozen))
            continue
        outputs.append(
            tuple(
                axes[axis] if axis < len(axes) and axis not in frozen else Frozen(size, call.name)
                for axis, size in enumerate(shape)
            )
        )
    return Outcome(outputs=tuple(outputs))
