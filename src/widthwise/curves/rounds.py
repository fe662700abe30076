"""The rounds of a sweep: which widths are measured when, and what is written after each."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import final

from torch import Tensor

from widthwise.curves.adaptive import Refinement
from widthwise.curves.curve import Curve
from widthwise.curves.evaluation import Evaluation, check_repeats, evaluate_network
from widthwise.curves.grid import Candidate
from widthwise.curves.plan import Job, Plan, Scorer
from widthwise.curves.point import Point
from widthwise.curves.resume import Header, Key, widths_key

__all__ = ["Rounds"]


@final
class Rounds:
    """A sweep as it goes on.

    Args:
        plan: What is measured at each width.
        header: What the curve says besides its points.
        started: The part of the curve that is there already; None for none.
        path: Where the curve is written after each point; None for nowhere.
        refinement: Chooses further widths after the first ones; None for none.
    """

    def __init__(
        self,
        plan: Plan,
        header: Header,
        *,
        started: Curve | None = None,
        path: str | os.PathLike[str] | None = None,
        refinement: Refinement | None = None,
    ) -> None:
        self._plan = plan
        self._path = path
        self._refinement = refinement
        known = {} if started is None else started.directions
        self._header = replace(header, directions={**known, **header.directions})
        self._points: dict[Key, Point] = {}
        self._is_written = started is not None
        for point in () if started is None else started.points:
            if plan.is_finished(point):
                self._points[widths_key(point.widths)] = self._complete(point)
        # The numbers per sample at full width, and what waits for them.
        self._full: dict[str, Tensor] | None = None
        self._waiting: list[tuple[Job, Evaluation]] = []
        self._is_checked = plan.is_noisy

    def count(self, candidates: Sequence[Candidate]) -> int:
        """Return how many points there are to measure at most, beginning with these candidates."""
        if self._refinement is not None:
            return self._refinement.max_points
        return len(self._missing(candidates))

    def run(self, candidates: Sequence[Candidate]) -> Iterator[Point]:
        """Measure candidates, and those that the refinement adds to them; yields each point once it is there.

        Args:
            candidates: Those of the first round.
        """
        with Scorer(self._plan).open() as scorer:
            chosen = list(candidates)
            while candidates:
                yield from self._run_round(scorer, candidates)
                candidates = self._choose(chosen)
                chosen += candidates

    def finish(self) -> Curve:
        """Return the curve, which stands in its file by now."""
        curve = self._header.make_curve(self._points.values())
        if self._path is not None and not self._is_written:
            curve.save(self._path)
        return curve

    def _run_round(self, scorer: Scorer, candidates: Sequence[Candidate]) -> Iterator[Point]:
        missing = self._order(self._missing(candidates))
        waits = self._wait_for_full(missing)
        repeated = None if self._is_checked or not missing else min(missing, key=_size)
        for job, found in scorer.score(missing, repeated):
            if job.spare is not None:
                check_repeats(self._plan.scores, found, job.spare, job.label)
                self._is_checked = True
            if waits and self._full is None:
                if job.candidate.width != 1.0:
                    self._waiting.append((job, found))
                    continue
                self._full = found.samples
            yield from self._keep(job, found)

    def _keep(self, job: Job, found: Evaluation) -> Iterator[Point]:
        """Store a point, and those that waited for it."""
        waiting, self._waiting = self._waiting, []
        for each, own in ((job, found), *waiting):
            point = replace(
                each.point,
                score=own.scores[self._header.name],
                scores=own.scores,
                errors=own.errors(),
                drop_errors={} if self._full is None else own.drop_errors(self._full),
            )
            self._points[widths_key(point.widths)] = point
            if self._path is not None:
                self._header.make_curve(self._points.values()).save(self._path)
                self._is_written = True
            yield point

    def _wait_for_full(self, missing: Sequence[Candidate]) -> bool:
        """Return whether the full network is to be scored in this round; where its score is known, score it again.

        Its numbers per sample are not stored, and a paired comparison needs them.
        """
        if not self._plan.sampled or not missing or self._full is not None:
            return False
        if any(candidate.width == 1.0 for candidate in missing):
            return True
        full = self._points.get(widths_key(self._plan.model.widths(1.0)))
        if full is not None:
            candidate = Candidate(width=1.0, widths=full.widths)
            net = self._plan.extract(candidate)
            self._full = evaluate_network(self._plan.sampled, net, candidate.label).samples
        return False

    def _choose(self, chosen: Sequence[Candidate]) -> list[Candidate]:
        if self._refinement is None:
            return []
        # Those alone that were chosen here, whatever else is known: so an interrupted sweep goes the same way again.
        points = [replace(self._points[widths_key(each.widths)], width=each.width) for each in chosen]
        return self._refinement.next_round(self._plan.model, points, self._header.name)

    def _missing(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        return [candidate for candidate in candidates if widths_key(candidate.widths) not in self._points]

    def _order(self, candidates: list[Candidate]) -> list[Candidate]:
        """Return full width first, which others are compared with, then the narrowest, which tells noise early."""
        narrowest = min(candidates, key=_size, default=None)
        return sorted(candidates, key=lambda each: (each.width != 1.0, each is not narrowest))

    def _complete(self, point: Point) -> Point:
        """Add what earlier versions did not store and what is known without the network."""
        if point.memory_bytes is not None:
            return point
        self._is_written = False
        return replace(point, memory_bytes=self._plan.model.memory_bytes(point.widths))


def _size(candidate: Candidate) -> int:
    return sum(candidate.widths.values())
