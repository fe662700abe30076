"""The walk down a ladder of widths: each in its turn is compared with the full network, until one is not proven.

The rungs are in an order that was fixed before any sample was seen, each is tested at the whole confidence, and the
first that fails ends the walk. So the promise needs no correction for the number of rungs, whatever the curve looks
like: of all rungs that are beyond the limit, the walk has to get past the first one to pick any, and that it does with
probability 1 - confidence at most (a fixed sequence of tests).
"""

# N samples
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, final

import torch
from torch import Tensor

from widthwise.curves.evidence import Verdict
from widthwise.curves.proof.comparison import Comparison
from widthwise.curves.proof.promise import Promise

__all__ = ["Samples", "Step", "Walk"]


class Samples(Protocol):
    """The scores of the networks of a ladder, on the same samples in the same order."""

    @property
    def sizes(self) -> Sequence[int]:
        """How many samples each part has that `read` yields."""
        ...

    def read(self, rung: int, /) -> Iterator[Tensor]:
        """Yield the scores [N] of one part of the samples after the other; rung 0 is the full network."""
        ...


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Step:
    """Where a walk is: on which rung, what is known of it, and the forward passes of samples so far."""

    rung: int
    comparison: Comparison
    verdict: Verdict
    num_full: int
    num_narrow: int


@final
class Walk:
    """A walk that is gone by iterating over its steps; the last step of each rung says what is held of it.

    Args:
        samples: The scores, computed as they are asked for; those of the full network once.
        num_rungs: How many networks there are, the full one among them, widest first.
        promise: What is to be proven of each.
        higher_is_better: Which way scores go.
        most_samples: The walk ends before it would take more forward passes of samples than these.
    """

    def __init__(
        self, samples: Samples, num_rungs: int, promise: Promise, *, higher_is_better: bool, most_samples: int
    ) -> None:
        self._samples = samples
        self._num_rungs = num_rungs
        self._promise = promise
        self._higher_is_better = higher_is_better
        self._left = most_samples
        self._full = samples.read(0)
        self._full_N = torch.empty(0, dtype=torch.float64)
        self._num_parts = 0
        self._num_narrow = 0

    def __iter__(self) -> Iterator[Step]:
        """Yield a step after each part of the samples."""
        for rung in range(1, self._num_rungs):
            verdict: Verdict = "undecided"
            for step in self._test(rung):
                verdict = step.verdict
                yield step
            if verdict != "within":
                return

    def _test(self, rung: int) -> Iterator[Step]:
        narrow, narrow_N = self._samples.read(rung), torch.empty(0, dtype=torch.float64)
        for part, size in enumerate(self._samples.sizes):
            if self._cost(part) > self._left:
                return
            self._left -= self._cost(part)
            self._read_full(part)
            narrow_N = torch.cat([narrow_N, next(narrow)])
            self._num_narrow += size
            comparison = self._compare(narrow_N)
            verdict = comparison.verdict
            yield Step(
                rung=rung,
                comparison=comparison,
                verdict=verdict,
                num_full=len(self._full_N),
                num_narrow=self._num_narrow,
            )
            if verdict != "undecided" or not comparison.has_hope(len(narrow_N) + self._reach(part + 1)):
                return

    def _compare(self, narrow_N: Tensor) -> Comparison:
        return Comparison.of(
            self._full_N[: len(narrow_N)],
            narrow_N,
            self._promise,
            higher_is_better=self._higher_is_better,
            horizon=sum(self._samples.sizes),
        )

    def _cost(self, part: int) -> int:
        # The full network's scores are there for as far as any rung has come.
        return self._samples.sizes[part] * (1 if part < self._num_parts else 2)

    def _read_full(self, part: int) -> None:
        if part == self._num_parts:
            self._full_N = torch.cat([self._full_N, next(self._full)])
            self._num_parts += 1

    def _reach(self, first: int) -> int:
        """Return how many samples of the parts from `first` on can still be paid for."""
        left, reached = self._left, 0
        for part in range(first, len(self._samples.sizes)):
            left -= self._cost(part)
            if left < 0:
                break
            reached += self._samples.sizes[part]
        return reached
