"""Check a call's inputs against the trace, whose graph holds for shapes and branches that it does not check itself."""

from collections.abc import Mapping, Sequence
from typing import Any

import sympy
import torch
from torch.utils import _pytree as pytree

from widthwise._shared import TraceError
from widthwise.graph import Example, Size, Trace, shape_of

__all__ = ["InputCheck"]


class InputCheck:
    """Knows the inputs that a trace holds for.

    Args:
        trace: The trace.
        example: What a call of the network looks like.
    """

    def __init__(self, trace: Trace, example: Example) -> None:
        self._trace = trace
        self._names = trace.inputs
        self._spec = pytree.tree_structure((example.args, example.kwargs))
        self._values = [trace.placeholder(name).meta["val"] for name in trace.inputs]
        self._shapes = [shape_of(value) for value in self._values]
        self._batch_axes = trace.input_batch_axes()

    def leaves_of(self, inputs: Example) -> list[Any]:
        """Return the leaves of a call's inputs.

        Raises:
            TraceError: They are of another structure, another shape or another value than what was traced.
        """
        leaves, spec = pytree.tree_flatten((inputs.args, inputs.kwargs))
        if spec != self._spec:
            raise TraceError(
                f"inputs must be nested as in example_inputs ({len(self._names)} leaves), got {len(leaves)} leaves "
                "nested in another way; give such inputs, or wrap the network with an example of the new kind"
            )
        symbols: dict[Any, int] = {}
        for i, leaf in enumerate(leaves):
            if isinstance(self._values[i], torch.Tensor):
                self._check_tensor(i, leaf, symbols)
            elif isinstance(leaf, torch.Tensor) or leaf != self._values[i]:
                raise TraceError(
                    f"input {self._names[i]} must be {self._values[i]!r} as in example_inputs, since the network was "
                    f"traced for that value, got {_describe(leaf)}; give that, or wrap the network with another example"
                )
        return leaves

    def symbols_of(self, leaves: Sequence[Any]) -> dict[Any, int]:
        """Return the value of each dynamic size that is an axis of an input."""
        symbols: dict[Any, int] = {}
        for shape, leaf in zip(self._shapes, leaves, strict=True):
            for size, given in zip(shape, leaf.shape if shape else (), strict=True):
                _fits(size, given, symbols)
        return symbols

    def check_branches(self, symbols: Mapping[Any, int]) -> None:
        """Check that the traced branches hold for these values of the dynamic sizes.

        Raises:
            TraceError: They do not.
        """
        low, high = self._trace.batch_range
        batch = symbols.get(self._trace.batch_symbol, low)
        if not low <= batch <= high:
            raise TraceError(
                f"the network was traced along a branch that holds for {low:g} to {high:g} samples at once, got "
                f"{batch}; give such a batch (in training the chunks of a batch run one by one, see Law.chunks), or "
                "wrap the network with an example of that batch size"
            )
        if not self._trace.holds_for(symbols):
            raise TraceError(
                f"the network was traced along branches that do not hold for inputs of these sizes (batch {batch}); "
                "give inputs of the sizes of example_inputs, or wrap the network with an example of the new ones"
            )

    def _check_tensor(self, i: int, leaf: Any, symbols: dict[Any, int]) -> None:
        expected, found = self._shapes[i], dict(symbols)
        fits = isinstance(leaf, torch.Tensor) and len(expected) == leaf.dim()
        if not fits or not all(_fits(size, given, found) for size, given in zip(expected, leaf.shape, strict=True)):
            raise TraceError(
                f"input {self._names[i]} must have shape {self._show(i, symbols)} as in example_inputs, got "
                f"{_describe(leaf)}; give inputs of that shape, or wrap the network with an example of the new one"
            )
        symbols.update(found)

    def _show(self, i: int, symbols: dict[Any, int]) -> str:
        """The shape that an input must have: "(batch, 8)", with sizes that another input has settled."""
        shown = [
            size if isinstance(size, int) else symbols.get(size, "batch" if axis == self._batch_axes[i] else "any size")
            for axis, size in enumerate(self._shapes[i])
        ]
        return _show(shown)


def _fits(size: Size, given: int, symbols: dict[Any, int]) -> bool:
    """Whether a size is the traced one; a dynamic size must be the same wherever it stands."""
    if isinstance(size, int):
        return size == given
    if isinstance(size, sympy.Symbol):
        return symbols.setdefault(size, given) == given
    unknown = size.free_symbols - symbols.keys()
    return bool(unknown) or size.subs(symbols) == given


def _describe(leaf: Any) -> str:
    return _show(leaf.shape) if isinstance(leaf, torch.Tensor) else repr(leaf)


def _show(shape: Sequence[Any]) -> str:
    return "(" + ", ".join(str(size) for size in shape) + ("," if len(shape) == 1 else "") + ")"
