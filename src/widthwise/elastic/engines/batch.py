"""Split a batch into chunks and join what they give."""

from collections.abc import Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor

from widthwise.elastic.engines.gradient import weigh

__all__ = ["choose_chunks", "chunk_sizes", "join_leaves", "split_leaves"]

Chunk = TypeVar("Chunk")


def chunk_sizes(batch: int, chunks: int, *, least: int = 1) -> list[int]:
    """Return the sizes of at most `chunks` nearly equal parts of a batch, larger ones first.

    Args:
        batch: The number of samples.
        chunks: The number of parts wanted.
        least: The fewest samples of a part; a batch that cannot be cut so stays whole.
    """
    chunks = max(1, min(batch // least, chunks))
    return [batch // chunks + (1 if i < batch % chunks else 0) for i in range(chunks)]


def choose_chunks(chunks: Sequence[Chunk], num_chosen: int, generator: torch.Generator) -> list[Chunk]:
    """Return `num_chosen` of the chunks in their order: all, or each equally likely where the batch is too small."""
    if num_chosen >= len(chunks):
        return list(chunks)
    chosen = torch.randperm(len(chunks), generator=generator, device="cpu")[:num_chosen].tolist()
    return [chunks[i] for i in sorted(chosen)]


def split_leaves(leaves: Sequence[Any], axes: Sequence[int | None], sizes: Sequence[int]) -> list[list[Any]]:
    """Return the leaves of each chunk: views along the batch axis; every chunk gets the leaves that have none."""
    columns = [
        [leaf] * len(sizes) if axis is None else torch.split(leaf, list(sizes), dim=axis)
        for leaf, axis in zip(leaves, axes, strict=True)
    ]
    return [[column[i] for column in columns] for i in range(len(sizes))]


def join_leaves(
    every: Sequence[Sequence[Any]], axes: Sequence[int | None], sizes: Sequence[int], weights: Sequence[float] = ()
) -> list[Any]:
    """Return the leaves of the whole batch.

    Leaves with a batch axis are joined along it. Floating leaves without one (a loss, a mean) are averaged by the
    number of samples; of all others (a flag, a table of indices) the first chunk's is taken.

    Args:
        every: The leaves of each chunk.
        axes: The batch axis of each leaf, or None.
        sizes: The samples of each chunk.
        weights: By how much the gradients of each chunk are multiplied; all 1 where none are given.
    """
    if any(weight != 1.0 for weight in weights):
        every = [[_weigh(leaf, weight) for leaf in leaves] for leaves, weight in zip(every, weights, strict=True)]
    return [_join(values, axis, sizes) for values, axis in zip(zip(*every, strict=True), axes, strict=True)]


def _weigh(leaf: Any, weight: float) -> Any:
    return weigh(leaf, weight) if isinstance(leaf, Tensor) else leaf


def _join(values: Sequence[Any], axis: int | None, sizes: Sequence[int]) -> Any:
    if axis is not None and len(values) == 1:
        return values[0]
    if axis is not None:
        return torch.cat(list(values), dim=axis)
    if len(values) > 1 and isinstance(values[0], Tensor) and values[0].is_floating_point():
        first, *rest = [value * (size / sum(sizes)) for value, size in zip(values, sizes, strict=True)]
        return sum(rest, first)
    return values[0]
