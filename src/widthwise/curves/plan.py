"""What is done at each width: take the network, tell what it costs, and hand it to the scores."""

import copy
import warnings
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import final

from torch import nn

from widthwise._shared import CurveError, WidthWarning
from widthwise.curves.evaluation import Evaluate, Evaluation, evaluate_network
from widthwise.curves.grid import Candidate
from widthwise.curves.point import Point
from widthwise.curves.score import Score
from widthwise.curves.sweepable import Sweepable
from widthwise.curves.workers import open_workers
from widthwise.graph import silence
from widthwise.measure import PRECISIONS, count_parameters, time_latency
from widthwise.slicing.formats import exported_bytes

__all__ = ["Job", "Plan", "Scorer"]


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """A network to score.

    Attributes:
        candidate: Its width.
        point: What it costs; its scores are still to come.
        spare: A copy of the network, to be scored once more; None where that is not wanted.
    """

    candidate: Candidate
    point: Point
    spare: nn.Module | None = None

    @property
    def label(self) -> str:
        """Its width in words."""
        return self.candidate.label


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What is measured at each width.

    Attributes:
        model: What is measured.
        scores: By name; the first is the one to pick by.
        calibrate: Batches that BatchNorm is calibrated on.
        latency: Whether networks are timed.
        processes: How many networks are scored at a time.
        is_noisy: Whether scores may differ from call to call.

    Raises:
        CurveError: Where `processes` is no number of processes.
    """

    model: Sweepable
    scores: dict[str, Evaluate]
    calibrate: Iterable[object] | None = None
    latency: bool = True
    processes: int = 1
    is_noisy: bool = False

    def __post_init__(self) -> None:
        """Refuse a number of processes that is none."""
        number = self.processes
        if not isinstance(number, int) or isinstance(number, bool) or number < 1:
            raise CurveError(f"expected processes to be an integer of at least 1, got {number!r}; give such a number")

    @property
    def sampled(self) -> dict[str, Evaluate]:
        """The scores that give a number per sample."""
        return {name: evaluate for name, evaluate in self.scores.items() if isinstance(evaluate, Score)}

    def is_finished(self, point: Point) -> bool:
        """Return whether a point says all that is wanted."""
        return set(self.scores) <= set(point.scores) and (point.latency_ms is not None or not self.latency)

    def extract(self, candidate: Candidate, *, is_calibrated: bool = True) -> nn.Module:
        """Return the plain network of a candidate in evaluation mode.

        Args:
            candidate: The width.
            is_calibrated: Whether its statistics matter. Those of full width are the trained ones, where it was run.
        """
        is_own = candidate.width == 1.0 and self.model.law.runs_full
        calibrate = self.calibrate if is_calibrated and not is_own else None
        with warnings.catch_warnings():
            # What these would say of one width was said of the whole curve.
            warnings.simplefilter("ignore", WidthWarning)
            return self.model.extract(candidate.widths, calibrate=calibrate).eval()

    def find_costs(self, candidate: Candidate, net: nn.Module) -> Point:
        """Return what a network costs, as a point that has no score yet."""
        widths = candidate.widths
        point = Point(
            width=candidate.width,
            widths=widths,
            score=0.0,
            params=count_parameters(net),
            macs=self.model.macs(widths),
            bytes=exported_bytes(net, widths),
            memory_bytes=self.model.memory_bytes(widths),
            bytes_by_dtype={precision: exported_bytes(net, widths, precision) for precision in PRECISIONS},
        )
        if not self.latency:
            return point
        args, kwargs = self.model.example_batch(1)
        timed = time_latency(net, args, example_kwargs=kwargs, threads=1)
        return replace(
            point,
            latency_ms=timed.median_ms,
            latency_range_ms=(timed.low_ms, timed.high_ms),
            latency_device=timed.device,
        )


@final
class Scorer:
    """Scores the networks of candidates, here or in other processes.

    Args:
        plan: What is measured.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._evaluate = self._evaluate_here

    @contextmanager
    def open(self) -> "Generator[Scorer]":
        """Hold the processes of the plan, where it has several, for a block."""
        if self._plan.processes == 1:
            yield self
            return
        with open_workers(self._plan.scores, self._plan.processes) as workers:
            self._evaluate = workers.evaluate
            yield self

    def score(self, candidates: Iterable[Candidate], repeated: Candidate | None) -> Iterator[tuple[Job, Evaluation]]:
        """Yield what scores say of the network of each candidate, in the order in which they are done.

        Args:
            candidates: The widths.
            repeated: The one whose network is kept, to be scored once more.
        """
        wanted = list(candidates)
        is_apart = self._plan.processes > 1
        # A network that is timed must have the machine for itself, so all are timed before the first is scored.
        costs = [self._find_costs_apart(each) for each in wanted] if is_apart and self._plan.latency else None
        yield from self._evaluate(self._make_jobs(wanted, costs, repeated))

    def _find_costs_apart(self, candidate: Candidate) -> Point:
        return self._plan.find_costs(candidate, self._plan.extract(candidate, is_calibrated=False))

    def _make_jobs(
        self, candidates: list[Candidate], costs: list[Point] | None, repeated: Candidate | None
    ) -> Iterator[tuple[Job, nn.Module]]:
        for index, candidate in enumerate(candidates):
            net = self._plan.extract(candidate)
            # Costs first: an evaluation may change the network that it is given.
            point = self._plan.find_costs(candidate, net) if costs is None else costs[index]
            spare = None
            if candidate is repeated:
                # torch.fx warns about its own treespecs when it copies a graph module.
                with silence():
                    spare = copy.deepcopy(net)
            yield Job(candidate=candidate, point=point, spare=spare), net

    def _evaluate_here(self, jobs: Iterable[tuple[Job, nn.Module]]) -> Iterator[tuple[Job, Evaluation]]:
        for job, net in jobs:
            yield job, evaluate_network(self._plan.scores, net, job.label)
