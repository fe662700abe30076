"""Over which axis a weight is summed: where it reads units, while it gives those of its other axes."""

from collections.abc import Iterator, Mapping

from torch import fx

from widthwise.graph import Inference, StateAxes, arguments_by_name

__all__ = ["find_summed"]


def find_summed(inference: Inference, state: StateAxes) -> Mapping[str, int]:
    """Return the axis of each parameter over which every operator sums that reads it, by its name.

    A parameter of several names, or one that some operator reads in another way, is left out.

    Args:
        inference: The traced network.
        state: The axes of its parameters and buffers.
    """
    found: dict[str, int] = {}
    for entry in inference.trace.state:
        if entry.is_held or len(state.names(entry.target)) > 1:
            continue
        axes = set(_find_axes(inference, inference.trace.placeholder(entry.placeholder)))
        if len(axes) == 1 and (axis := axes.pop()) is not None:
            found[entry.target] = axis
    return found


def _find_axes(inference: Inference, weight: fx.Node) -> Iterator[int | None]:
    """Yield the axis for every operator that reads a weight or what is made of it alone; None where none is told."""
    border = [weight]
    while border:
        source = border.pop()
        for user in source.users:
            if user.op != "call_function":
                continue
            outcome = inference.outcomes.get(user)
            named = arguments_by_name(user)
            axes = [axis for name, axis in (outcome.contracted if outcome else {}).items() if named[name] is source]
            if not axes and user.all_input_nodes == [source]:
                border.append(user)
            yield from (_trace_back(inference, weight, source, axis) for axis in axes)
            if not axes and user not in border:
                yield None


def _trace_back(inference: Inference, weight: fx.Node, source: fx.Node, axis: int) -> int | None:
    """Return which axis of a weight is one of what was made of it, if its term tells."""
    if source is weight:
        return axis
    term = inference.axes_of(source)[axis]
    same = [i for i, each in enumerate(inference.axes_of(weight)) if each == term]
    return same[0] if len(same) == 1 else None
