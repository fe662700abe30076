"""A score: one number per sample, and the samples. A network's score is their mean.

Numbers per sample, and not only their mean, are what a paired comparison of two networks needs.
"""

# B batch
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar, final

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from widthwise._shared import CurveError
from widthwise.measure import evaluating

__all__ = ["Score", "batch_size"]

_Batch = TypeVar("_Batch")


@final
@dataclass(frozen=True, slots=True)
class Score(Generic[_Batch]):
    """How good a network is on the samples of a loader: call it on a network to get the mean over all of them.

    Args:
        per_sample: `per_sample(net, batch)` returns one number per sample of the batch, a tensor [B]; for accuracy the
            truth values of "was right". It runs under `torch.inference_mode`, with the network in eval mode.
        loader: Batches, in a fixed order: a DataLoader, a list. Its batches go to `per_sample` as they come.
        higher_is_better: False for a loss, an error, a perplexity.
        name: The word for it in tables and plots.

    Raises:
        CurveError: Where the loader can be gone through only once, or the name is empty.

    Example:
        >>> batches = [(torch.eye(2), torch.tensor([0, 1]))]
        >>> accuracy = Score(lambda net, batch: net(batch[0]).argmax(1) == batch[1], batches)
        >>> accuracy(nn.Identity())
        1.0
    """

    per_sample: Callable[[nn.Module, _Batch], Tensor]
    loader: Iterable[_Batch]
    higher_is_better: bool = True
    name: str = "accuracy"

    def __post_init__(self) -> None:
        """Refuse what could not be used a second time."""
        if isinstance(self.loader, Iterator):
            raise CurveError(
                f"expected a loader that can be gone through once per width, got the one-way "
                f"{type(self.loader).__name__}; pass a list of batches or a DataLoader"
            )
        if not self.name:
            raise CurveError('expected a name for the score, got ""; give it a word such as "accuracy"')

    def __call__(self, net: nn.Module) -> float:
        """Return the mean over all samples, computed in float64.

        Raises:
            CurveError: Where `per_sample` returns something other than one finite number per sample, or there is no
                sample.
        """
        return float(self.all_samples(net).mean())

    def all_samples(self, net: nn.Module) -> Tensor:
        """Return the scores of all samples: a float64 tensor [N] on the CPU, in the loader's order.

        Raises:
            CurveError: As for a call.
        """
        batches = list(self.samples(net))
        if not batches:
            raise CurveError(
                f"expected at least one sample to compute the {self.name} from, got an empty loader; check the data"
            )
        return torch.cat(batches)

    def samples(self, net: nn.Module) -> Iterator[Tensor]:
        """Yield the scores of one batch after the other: float64 tensors [B] on the CPU, in the loader's order.

        The network is in eval mode only while a batch is scored, so it may be used, or left, between two of them.

        Raises:
            CurveError: Where `per_sample` returns something other than one finite number per sample.
        """
        for index, batch in enumerate(self.loader):
            with evaluating(net):
                scores = self.per_sample(net, batch)
            scores_B = self._checked(scores, index, batch_size(batch))
            if len(scores_B):
                yield scores_B

    def _checked(self, scores: object, index: int, expected_size: int | None) -> Tensor:
        expected = f"{self.name}: expected per_sample to return one number per sample, a tensor [B]"
        if not isinstance(scores, Tensor):
            raise CurveError(f"{expected}, got {type(scores).__name__}; return a tensor")
        if scores.is_complex():
            raise CurveError(f"{expected}, got complex numbers; return real ones")
        shape = list(scores.shape)
        if scores.dim() == 0:
            raise CurveError(
                f'{expected}, got a single number; leave out the mean over the batch (reduction="none" in losses)'
            )
        if scores.dim() != 1:
            raise CurveError(f"{expected}, got shape {shape}; reduce it over every axis but the first")
        if expected_size is not None and len(scores) != expected_size:
            raise CurveError(f"{expected}, got {len(scores)} numbers for a batch of {expected_size}; check per_sample")
        num_bad = int((~torch.isfinite(scores)).sum())
        if num_bad:
            raise CurveError(
                f"{self.name}: expected finite numbers, got {num_bad} of {len(scores)} in batch {index} NaN or "
                "infinite; check the network and per_sample on that batch"
            )
        return scores.to(device="cpu", dtype=torch.float64)


def batch_size(batch: object) -> int | None:
    """Return the size that the first axes of all tensors in the batch agree on, None where they do not agree."""
    sizes = {leaf.shape[0] for leaf in pytree.tree_leaves(batch) if isinstance(leaf, Tensor) and leaf.dim() > 0}
    return sizes.pop() if len(sizes) == 1 else None
