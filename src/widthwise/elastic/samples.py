"""The samples on which importance is measured: the first 2,048 of a loader, in small parts, where the network is."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, final

from torch import Tensor
from torch.utils import _pytree as pytree

from widthwise._shared import DataError
from widthwise.elastic.engines.batch import chunk_sizes, split_leaves
from widthwise.elastic.engines.engine import Engine
from widthwise.graph import Example
from widthwise.slicing import NUM_SAMPLES, batch_inputs

__all__ = ["Samples", "read_inputs", "read_pairs"]

# Summed over many samples the gradient of a trained network is noise about 0; over few it tells what each one needs.
_PART = 32


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Samples:
    """Some samples.

    Attributes:
        inputs: What the network takes.
        targets: What its outputs are compared with.
    """

    inputs: Example
    targets: Any = None


def read_inputs(engine: Engine, loader: Iterable[Any]) -> Iterator[Samples]:
    """Yield whole batches without targets.

    Raises:
        DataError: There is no batch, or it does not hold what the network takes.
    """
    yield from _read(engine, ((batch, None) for batch in loader))


def read_pairs(engine: Engine, loader: Iterable[Any]) -> Iterator[Samples]:
    """Yield parts of at most 32 samples where targets have the inputs' batch axis, whole batches else.

    Raises:
        DataError: There is no batch, or it does not hold what the network takes, and targets.
    """
    for batch in _read(engine, map(_pair, loader)):
        yield from _split(engine, batch)


def _pair(batch: object) -> tuple[Any, Any]:
    if not isinstance(batch, tuple | list) or len(batch) < 2:
        raise DataError(
            "a criterion needs batches of (inputs, targets), got batches without targets; pass a loader of training "
            "samples"
        )
    return batch[:-1], batch[-1]


def _read(engine: Engine, pairs: Iterable[tuple[Any, Any]]) -> Iterator[Samples]:
    """Yield batches until 2,048 samples were seen; as many batches where these have no batch axis."""
    device = next((parameter.device for parameter in engine.net.parameters()), None)
    axes = [(leaf, axis) for leaf, axis in enumerate(engine.input_batch_axes) if axis is not None]
    seen = 0
    for batch, targets in pairs:
        inputs = batch_inputs(batch, engine.example)
        moved = pytree.tree_map_only(Tensor, lambda x: x.to(device), (inputs.args, inputs.kwargs, targets))
        yield Samples(inputs=Example(args=moved[0], kwargs=moved[1]), targets=moved[2])
        seen += inputs.leaves()[axes[0][0]].shape[axes[0][1]] if axes else 1
        if seen >= NUM_SAMPLES:
            return
    if seen == 0:
        raise DataError("sorting needs at least one batch, got an empty loader; pass training samples")


def _split(engine: Engine, batch: Samples) -> Iterator[Samples]:
    axes = engine.input_batch_axes
    leaves, spec = pytree.tree_flatten((batch.inputs.args, batch.inputs.kwargs))
    targets, targets_spec = pytree.tree_flatten(batch.targets)
    first = next(((leaf.shape[axis], axis) for leaf, axis in zip(leaves, axes, strict=True) if axis is not None), None)
    if first is None or not all(_has_length(leaf, *first) for leaf in targets):
        yield batch
        return
    size, axis = first
    every = split_leaves(
        [*leaves, *targets], [*axes, *[axis] * len(targets)], chunk_sizes(size, -(-size // _PART), least=2)
    )
    for part in every:
        args, kwargs = pytree.tree_unflatten(part[: len(leaves)], spec)
        own = pytree.tree_unflatten(part[len(leaves) :], targets_spec)
        yield Samples(inputs=Example(args=args, kwargs=kwargs), targets=own)


def _has_length(leaf: object, size: int, axis: int) -> bool:
    return isinstance(leaf, Tensor) and leaf.dim() > axis and leaf.shape[axis] == size
