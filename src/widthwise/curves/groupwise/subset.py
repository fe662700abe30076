"""Fewer samples for the many networks of a search: the score of some batches of a loader, and calibration on fewer."""

from collections.abc import Iterable
from dataclasses import replace
from typing import TypeVar

from torch import Tensor
from torch.utils import _pytree as pytree

from widthwise.curves.score import Score

__all__ = ["take_first", "thin_score"]

_Batch = TypeVar("_Batch")


def thin_score(score: Score[_Batch], num_samples: int) -> Score[_Batch]:
    """Return the score on at most `num_samples` samples (one batch at least); itself where it has no more.

    Whole batches are taken, evenly spread over the loader, which need not be shuffled, and kept in memory.
    """
    kept: list[_Batch] = []
    stride = 1
    for index, batch in enumerate(score.loader):
        if index % stride:
            continue
        kept.append(batch)
        while len(kept) > 1 and sum(map(_count_samples, kept)) > num_samples:
            kept = kept[::2]
            stride *= 2
    return score if stride == 1 else replace(score, loader=kept)


def take_first(batches: Iterable[object], num_samples: int) -> list[object]:
    """Return the first batches of a loader that hold so many samples together, or all of them."""
    kept: list[object] = []
    count = 0
    for batch in batches:
        kept.append(batch)
        count += _count_samples(batch)
        if count >= num_samples:
            break
    return kept


def _count_samples(batch: object) -> int:
    """Return the length of the batch's first tensor; 1 where it has none."""
    tensors = (leaf for leaf in pytree.tree_leaves(batch) if isinstance(leaf, Tensor) and leaf.dim() > 0)
    return next((tensor.shape[0] for tensor in tensors), 1)
