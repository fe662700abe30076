"""Ways to choose a width by samples: ours, and those that first come to mind."""

# W widths, N samples
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import torch
from torch import Tensor

from widthwise.curves.proof.promise import Promise
from widthwise.curves.proof.walk import Walk

__all__ = ["Choice", "Stored", "choose_by_t_tests", "choose_by_walk", "choose_stored"]

# Samples in a part, as `pick` cuts 10,000 of them.
_PART = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """Which of the widths, widest first, was chosen, and for how many forward passes of samples."""

    place: int
    num_samples: int


class Stored:
    """Scores that are there already, as a walk reads them."""

    def __init__(self, scores_WN: Tensor, order_N: Tensor | None = None) -> None:
        self._scores_WN = scores_WN
        self._order_N = torch.arange(scores_WN.shape[1]) if order_N is None else order_N
        self.sizes: Sequence[int] = [len(part) for part in self._order_N.split(_PART)]

    def read(self, rung: int, /) -> Iterator[Tensor]:
        """Yield the scores of one part of the samples after the other."""
        for part in self._order_N.split(_PART):
            yield self._scores_WN[rung, part].double()


def choose_by_walk(samples: Stored, num_rungs: int, promise: Promise, *, higher_is_better: bool = True) -> Choice:
    """Return what `pick` chooses, with three passes at most."""
    place, num_samples = 0, 0
    most_samples = 3 * sum(samples.sizes)
    for step in Walk(samples, num_rungs, promise, higher_is_better=higher_is_better, most_samples=most_samples):
        num_samples = step.num_full + step.num_narrow
        if step.verdict == "within":
            place = step.rung
    return Choice(place=place, num_samples=num_samples)


def choose_stored(drops_WN: Tensor, limit: float) -> Choice:
    """Return the narrowest whose drop on all samples keeps to the limit."""
    kept = (drops_WN.mean(dim=1) <= limit).nonzero()
    return Choice(place=int(kept[-1]), num_samples=drops_WN.numel())


def choose_by_t_tests(drops_WN: Tensor, limit: float, confidence: float) -> Choice:
    """Return the narrowest of which a t-test on all samples, taken alone, is this sure; full width counts as sure."""
    count = drops_WN.shape[1]
    error_W = drops_WN.std(dim=1) / math.sqrt(count)
    is_sure_W = drops_WN.mean(dim=1) + NormalDist().inv_cdf(confidence) * error_W <= limit
    is_sure_W[0] = True
    return Choice(place=int(is_sure_W.nonzero()[-1]), num_samples=drops_WN.numel())
