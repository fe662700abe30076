"""The samples of a loader in one random order, the same one however often they are gone through."""

# B batch, N samples
import math
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import cast, final

import torch
from torch import Tensor
from torch.utils import _pytree as pytree
from torch.utils.data import BatchSampler, DataLoader, IterableDataset, RandomSampler, SequentialSampler

from widthwise._shared import CurveError, WidthWarning, make_generator
from widthwise.curves.score import batch_size

__all__ = ["Shuffled", "shuffle"]

# Parts are small, so that a test can stop soon, but not so small that calls cost more than the work in them.
_PARTS, _LEAST = 100, 32


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Shuffled:
    """Batches that hold the samples of a loader in an order that was drawn once, and how many each batch holds."""

    batches: Iterable[object]
    sizes: tuple[int, ...]


def shuffle(loader: Iterable[object], generator: torch.Generator) -> Shuffled:
    """Return the samples of `loader` in a random order, in batches that are no larger than its own.

    A `DataLoader` gives each sample of its data set, or of its sampler, once and in a new order. The samples of a list
    of batches are dealt anew where every tensor of a batch has them as its first axis and all batches look alike. Where
    batches cannot be taken apart (their shapes differ, a batch sampler made them), they come in a random order as they
    are.

    Raises:
        CurveError: Where it cannot be told how many samples a batch holds.

    Warns:
        WidthWarning: Where the loader is no `DataLoader` over indexed samples and no list: its order stays as it is.
    """
    if isinstance(loader, DataLoader):
        found = _shuffle_indices(cast("DataLoader[object]", loader), generator)
        if found is not None:
            return found
    elif isinstance(loader, Sequence):
        pool = _Pool.of(loader)
        if pool is not None:
            order_N = torch.randperm(pool.num_samples, generator=generator)
            parts = order_N.split(_part_size(pool.num_samples, pool.largest_batch))
            return Shuffled(batches=_Dealt(pool, parts), sizes=tuple(map(len, parts)))
        mixed = [loader[index] for index in torch.randperm(len(loader), generator=generator).tolist()]
        return Shuffled(batches=mixed, sizes=_sizes(mixed))
    warnings.warn(
        f"expected a loader whose samples can be put in a random order, got a {type(loader).__name__}; its order is "
        "taken as it is: pass a list of batches or a DataLoader with a data set of known length, or make sure that the "
        "order is random",
        WidthWarning,
        stacklevel=3,
    )
    return Shuffled(batches=loader, sizes=_sizes(loader))


def _shuffle_indices(loader: "DataLoader[object]", generator: torch.Generator) -> Shuffled | None:
    if isinstance(loader.dataset, IterableDataset) or loader.batch_sampler is None:
        return None
    if type(loader.batch_sampler) is BatchSampler:
        indices = _indices(loader)
        order = [indices[place] for place in torch.randperm(len(indices), generator=generator).tolist()]
        size = _part_size(len(order), loader.batch_size or len(order))
        parts = [order[start : start + size] for start in range(0, len(order), size)]
    else:
        given = [list(part) for part in loader.batch_sampler]
        parts = [given[place] for place in torch.randperm(len(given), generator=generator).tolist()]
    batches = DataLoader(
        loader.dataset,
        batch_sampler=parts,
        num_workers=loader.num_workers,
        collate_fn=loader.collate_fn,
        pin_memory=loader.pin_memory,
        timeout=loader.timeout,
        worker_init_fn=loader.worker_init_fn,
        multiprocessing_context=loader.multiprocessing_context,
        # The seed of its workers would be drawn from the global random state.
        generator=make_generator(0),
        prefetch_factor=loader.prefetch_factor,
    )
    return Shuffled(batches=batches, sizes=tuple(map(len, parts)))


def _indices(loader: "DataLoader[object]") -> Sequence[object]:
    sampler: object = loader.sampler
    is_whole = isinstance(sampler, SequentialSampler) or (
        isinstance(sampler, RandomSampler)
        and not sampler.replacement
        and sampler.num_samples == len(sampler.data_source)
    )
    # A random sampler would be asked for an order that is thrown away, out of the global random state.
    return range(len(cast("Sequence[object]", loader.dataset))) if is_whole else list(cast("Iterable[object]", sampler))


def _part_size(num_samples: int, largest: int) -> int:
    return max(1, min(largest, max(_LEAST, math.ceil(num_samples / _PARTS))))


def _sizes(batches: Iterable[object]) -> tuple[int, ...]:
    sizes = [batch_size(batch) for batch in batches]
    if None in sizes:
        raise CurveError(
            "expected batches whose tensors all have the samples as their first axis, got one where they differ; "
            "put the samples first in every tensor of a batch"
        )
    # A score has nothing to say of an empty batch.
    return tuple(size for size in sizes if size)


@final
@dataclass(frozen=True, slots=True, eq=False)
class _Pool:
    """The samples of batches that look alike, end to end."""

    leaves: list[Tensor]
    spec: pytree.TreeSpec
    largest_batch: int

    @property
    def num_samples(self) -> int:
        return len(self.leaves[0])

    @classmethod
    def of(cls, batches: Sequence[object]) -> "_Pool | None":
        """The pool of the batches; None where they cannot be taken apart."""
        flat = [pytree.tree_flatten(batch) for batch in batches]
        if (
            not flat
            or any(spec != flat[0][1] for _, spec in flat)
            or any(batch_size(batch) is None for batch in batches)
        ):
            return None
        columns = list(zip(*(leaves for leaves, _ in flat), strict=True))
        if not all(_look_alike(column) for column in columns):
            return None
        largest = max(len(leaf) for leaf in columns[0])
        return cls([torch.cat(column) for column in columns], flat[0][1], largest)


@final
@dataclass(frozen=True, slots=True, eq=False)
class _Dealt:
    """The samples of a pool, one part after the other."""

    pool: _Pool
    parts: Sequence[Tensor]

    def __iter__(self) -> Iterator[object]:
        for part_B in self.parts:
            leaves = [leaf[part_B.to(leaf.device)] for leaf in self.pool.leaves]
            yield pytree.tree_unflatten(leaves, self.pool.spec)


def _look_alike(leaves: Sequence[object]) -> bool:
    tensors = [leaf for leaf in leaves if isinstance(leaf, Tensor) and leaf.dim() > 0]
    return len(tensors) == len(leaves) and len({(leaf.shape[1:], leaf.dtype, leaf.device) for leaf in tensors}) == 1
