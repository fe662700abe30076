"""An exported file as a network again: a call runs it in its own runtime."""

from collections.abc import Iterator
from typing import Any, final

import torch
from torch import nn
from torch.utils import _pytree as pytree

from widthwise.graph import Example
from widthwise.slicing.finish.dtype import cast_inputs
from widthwise.slicing.formats import Plain, Reader

__all__ = ["ReadBack", "count_samples", "cut_batch"]


@final
class ReadBack(nn.Module):
    """Takes and returns what the exported network does, but for the dtype of outputs; it has no parameters.

    Args:
        plain: The network that was written.
        read: What the file computes.
        max_batch: The most samples that it takes at once; more go in one part after the other.
        outputs: What the network returns for its example, in whose structure the outputs are given back.
    """

    def __init__(self, plain: Plain, read: Reader, max_batch: int | None, outputs: Any) -> None:
        super().__init__()
        self._plain, self._read, self._max_batch = plain, read, max_batch
        self._spec = pytree.tree_structure(outputs)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Run the file."""
        parts = [
            self.run_part(part) for part in cut_batch(self._plain, Example(args=args, kwargs=kwargs), self._max_batch)
        ]
        leaves = parts[0] if len(parts) == 1 else [torch.cat(each) for each in zip(*parts, strict=True)]
        return pytree.tree_unflatten(leaves, self._spec)

    def run_part(self, inputs: Example) -> list[Any]:
        """Return the output leaves of as many samples as the file takes at once, of inputs in the order of files."""
        return self._read(cast_inputs(inputs, self._plain.dtype))


def cut_batch(plain: Plain, inputs: Example, most: int | None) -> Iterator[Example]:
    """Yield inputs in parts of `most` samples, their keywords in the order of the example, by which files take them."""
    ordered = Example(args=inputs.args, kwargs={name: inputs.kwargs[name] for name in plain.example.kwargs})
    count = count_samples(plain, ordered)
    if most is None or count <= most:
        yield ordered
        return
    leaves, spec = pytree.tree_flatten((ordered.args, ordered.kwargs))
    for start in range(0, count, most):
        parts = [
            leaf if axis is None else leaf.narrow(axis, start, min(most, count - start))
            for leaf, axis in zip(leaves, plain.batch_axes, strict=True)
        ]
        args, kwargs = pytree.tree_unflatten(parts, spec)
        yield Example(args=args, kwargs=kwargs)


def count_samples(plain: Plain, inputs: Example) -> int:
    """Return the samples in a batch whose keywords stand in the order of the example; 0 where no input has an axis."""
    axes = zip(inputs.leaves(), plain.batch_axes, strict=True)
    return next((leaf.shape[axis] for leaf, axis in axes if axis is not None), 0)
