"""The scout: scores, times and measures the networks that a search asks about, each once, and writes it all down."""

import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import final

from torch import nn

from widthwise._shared import WidthWarning
from widthwise.curves.grid import Candidate, Width
from widthwise.curves.groupwise.lattice import Lattice, Units
from widthwise.curves.groupwise.ledger import Ledger
from widthwise.curves.groupwise.tryout import Tryout
from widthwise.curves.point import Point

__all__ = ["Scout"]


@final
class Scout:
    """What a search may ask about networks.

    What the ledger holds already is taken from there. A search asks again from the start when it goes on, and gets the
    same answers, so that it goes the same way: only what it asked itself counts as known.

    Args:
        lattice: The widths there are.
        ledger: Where answers are kept.
        tryout: How networks are scored and timed on the way.
        measure: Makes the point at a width, on all samples, with its latency or without.
        is_finished: Whether a point of the ledger says all that is wanted.
        is_timing: Whether points have the latency that the search went by.
        tell: Is told what was scored.
    """

    def __init__(
        self,
        lattice: Lattice,
        ledger: Ledger,
        tryout: Tryout,
        measure: Callable[[Width, bool], Point],
        is_finished: Callable[[Point], bool],
        *,
        is_timing: bool,
        tell: Callable[[str], None],
    ) -> None:
        self._lattice = lattice
        self._ledger = ledger
        self._tryout = tryout
        self._measure = measure
        self._is_finished = is_finished
        self._is_timing = is_timing
        self._tell = tell
        self._sign = 1.0 if ledger.header.higher_is_better else -1.0
        self._num_counted = 0
        self.known: dict[Units, float] = {}

    @property
    def higher_is_better(self) -> bool:
        """Which way scores go."""
        return self._ledger.header.higher_is_better

    @property
    def is_whole(self) -> bool:
        """Whether scores on the way are those of all samples."""
        return self._ledger.num_samples is None

    @property
    def num_tried(self) -> int:
        """How many networks were asked about since `count_anew`."""
        return len(self.known) - self._num_counted

    def count_anew(self) -> None:
        """Begin to count again."""
        self._num_counted = len(self.known)

    def goodness(self, units: Units) -> float:
        """Return the score on the way, with the sign at which higher is better."""
        if units not in self.known:
            score = self._ledger.scores.get(units)
            if score is None:
                candidate = self._name(units)
                score = self._tryout.score(candidate)
                self._ledger.add_score(units, score)
                self._tell(f"{self._ledger.header.name} {score:.4g} at {candidate.label}")
            self.known[units] = self._sign * score
        return self.known[units]

    def time(self, units: Units) -> float:
        """Return the median latency in milliseconds."""
        point = self._ledger.points.get(units)
        if point is not None and point.latency_ms is not None:
            return point.latency_ms
        if units not in self._ledger.latencies:
            self._ledger.add_latency(units, self._tryout.time(self._name(units)))
        return self._ledger.latencies[units][0]

    def measure(self, units: Units) -> Point:
        """Return the point at these widths, on all samples."""
        point = self._ledger.points.get(units)
        if point is not None and self._is_finished(point):
            return point
        candidate = self._name(units)
        with warnings.catch_warnings():
            # What these would say of every point was said of all of them.
            warnings.simplefilter("ignore", WidthWarning)
            width = candidate.widths if candidate.width is None else candidate.width
            point = self._measure(width, not self._is_timing)
        if self._is_timing:
            self.time(units)
            median, low, high, device = self._ledger.latencies[units]
            point = replace(point, latency_ms=median, latency_range_ms=(low, high), latency_device=device)
        self._ledger.add_point(point)
        self._tell(f"{self._ledger.header.name} {point.score:.4g} at {point.label}")
        return point

    def extract(self, units: Units) -> nn.Module:
        """Return the network at these widths."""
        return self._tryout.extract(self._name(units))

    def _name(self, units: Units) -> Candidate:
        return Candidate(width=self._lattice.fractions.get(units), widths=self._lattice.name(units))
