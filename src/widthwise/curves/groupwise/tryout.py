"""A tryout: the score of one network of a search, on the samples that all its networks are compared on."""

import warnings
from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol, final

from torch import nn

from widthwise._shared import WidthWarning
from widthwise.curves.evaluation import Evaluate, evaluate_network
from widthwise.curves.grid import Candidate, Width
from widthwise.curves.score import Score
from widthwise.measure import Latency, time_latency

__all__ = ["Runnable", "Tryout"]

# In seconds, a fifth of what a point of a curve gets, since many are timed: some hundred passes of a small network.
_TIMING_BUDGET = 0.1


class Runnable(Protocol):
    """What is asked of a model whose networks are tried."""

    @property
    def has_statistics(self) -> bool:
        """Whether a batch norm uses running statistics in evaluation mode."""
        ...

    def at(self, width: Width, /) -> AbstractContextManager[nn.Module]:
        """Run at a width inside of the block; nothing is copied."""
        ...

    def extract(self, width: Width, /, *, calibrate: Iterable[object] | None = None) -> nn.Module:
        """Return the plain network at a width."""
        ...

    def example_batch(self, size: int, /) -> tuple[tuple[object, ...], dict[str, object]]:
        """Return example inputs with a batch of that size."""
        ...


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Tryout:
    """How networks are scored and timed on the way.

    A `Score` runs on views of the large network, which copies nothing. It is extracted where BatchNorm has to be
    recalibrated, and for a function of one's own, which may look at the network or change it.

    Attributes:
        model: The large network.
        name: Word for the score.
        evaluate: The score, of fewer samples than the whole one has.
        calibrate: For BatchNorm, likewise; None for none.
    """

    model: Runnable
    name: str
    evaluate: Evaluate
    calibrate: Iterable[object] | None

    def score(self, candidate: Candidate) -> float:
        """Return the score at these widths.

        Raises:
            CurveError: Where it raises or is no finite number.
        """
        if not isinstance(self.evaluate, Score) or self.model.has_statistics:
            return self._evaluate(self.extract(candidate), candidate)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", WidthWarning)
            view = self.model.at(candidate.widths)
        with view as net:
            return self._evaluate(net, candidate)

    def time(self, candidate: Candidate) -> Latency:
        """Return the time of a pass at these widths: batch 1, one thread."""
        args, kwargs = self.model.example_batch(1)
        net = self.extract(candidate)
        return time_latency(net, args, example_kwargs=kwargs, threads=1, budget_s=_TIMING_BUDGET)

    def extract(self, candidate: Candidate) -> nn.Module:
        """Return the network at these widths; full width keeps the statistics it was trained with."""
        calibrate = None if candidate.width == 1.0 else self.calibrate
        with warnings.catch_warnings():
            # What would be said of every network on the way was said of all of them.
            warnings.simplefilter("ignore", WidthWarning)
            return self.model.extract(candidate.widths, calibrate=calibrate).eval()

    def _evaluate(self, net: nn.Module, candidate: Candidate) -> float:
        return evaluate_network({self.name: self.evaluate}, net, candidate.label).scores[self.name]
