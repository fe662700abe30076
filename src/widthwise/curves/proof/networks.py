"""The networks of a ladder, extracted as they are asked for, and their scores on the same samples in the same order."""

# B batch
from collections.abc import Iterable, Iterator, Sequence
from typing import Generic, TypeVar, final

import torch
from torch import Tensor, nn

from widthwise._shared import CurveError, WidthwiseError
from widthwise.curves.evidence import Evidence
from widthwise.curves.grid import Candidate
from widthwise.curves.point import Point
from widthwise.curves.score import Score
from widthwise.curves.sweep import Sweepable
from widthwise.measure import count_parameters, evaluating
from widthwise.slicing.formats import exported_bytes

__all__ = ["Networks"]

_Batch = TypeVar("_Batch")


@final
class Networks(Generic[_Batch]):
    """Extracted networks and their scores, as a `Walk` reads them.

    Args:
        model: What the networks are extracted from.
        ladder: Their widths, full width first.
        score: Its loader holds the samples in the order of the test.
        calibrate: As for `pick`.
        sizes: How many samples there are in each batch.
        bounds: Between which scores must lie; None where anything goes.
    """

    def __init__(
        self,
        model: Sweepable,
        ladder: Sequence[Candidate],
        score: Score[_Batch],
        *,
        calibrate: Iterable[object] | None,
        sizes: Sequence[int],
        bounds: tuple[float, float] | None,
    ) -> None:
        self._model = model
        self._ladder = ladder
        self._score = score
        self._calibrate = calibrate
        self._sizes = sizes
        found = self._find_bounds()
        self.bounds = found if bounds is None else bounds
        self._nets: dict[int, nn.Module] = {}
        self._sums: dict[int, tuple[float, int]] = {}

    @property
    def sizes(self) -> Sequence[int]:
        """How many samples there are in each batch."""
        return self._sizes

    def read(self, rung: int, /) -> Iterator[Tensor]:
        """Yield the scores [B] of a network on one batch after the other.

        Raises:
            CurveError: Where the score raises, or a number is not finite or out of bounds.
        """
        # Of all that came before only the last one can still be picked.
        self._nets = {kept: net for kept, net in self._nets.items() if kept == rung - 1}
        net = self._nets[rung] = self._extract(rung)
        self._sums[rung] = (0.0, 0)
        scores = self._score.samples(net)
        for size in self._sizes:
            scores_B = self._next(scores, rung)
            self._check(scores_B, size, rung)
            total, count = self._sums[rung]
            self._sums[rung] = (total + float(scores_B.sum()), count + size)
            yield scores_B

    def make_point(self, rung: int, evidence: Evidence) -> Point:
        """Return the point of a network that was read; its score is the mean over what was read of it."""
        net, candidate = self._nets[rung], self._ladder[rung]
        total, count = self._sums[rung]
        return Point(
            width=candidate.width,
            widths=candidate.widths,
            score=total / count,
            scores={self._score.name: total / count},
            params=count_parameters(net),
            macs=self._model.macs(candidate.widths),
            bytes=exported_bytes(net, candidate.widths),
            evidence=evidence,
        )

    def _extract(self, rung: int) -> nn.Module:
        # Full width is the network as it was trained: where that was run, its running statistics are its own.
        calibrate = None if rung == 0 and self._model.law.runs_full else self._calibrate
        return self._model.extract(self._ladder[rung].widths, calibrate=calibrate).eval()

    def _find_bounds(self) -> tuple[float, float] | None:
        """Return (0, 1) where a sample's score is a truth value; score the first batch twice, which must agree."""
        if not self._sizes:
            raise CurveError(
                f"expected at least one sample to compute the {self._score.name} from, got an empty loader; check the "
                "data"
            )
        net = self._extract(0)
        first_B, again_B = (self._next(self._score.samples(net), 0) for _ in range(2))
        if first_B.shape != again_B.shape or not torch.allclose(first_B, again_B, rtol=1e-3, atol=1e-6):
            raise CurveError(
                f"expected the same {self._score.name} of the same network on the same samples, got another one when "
                "asked again; take out what is random in per_sample or in the data (augmentation, dropout)"
            )
        batch = next(iter(self._score.loader))
        with evaluating(net):
            return (0.0, 1.0) if self._score.per_sample(net, batch).dtype == torch.bool else None

    def _next(self, scores: Iterator[Tensor], rung: int) -> Tensor:
        label, name = self._ladder[rung].label, self._score.name
        try:
            return next(scores)
        except StopIteration as cause:
            raise CurveError(
                f"expected the loader of {name} to give as many batches at width {label} as before, got fewer; "
                "give one that can be gone through again"
            ) from cause
        except WidthwiseError as cause:
            raise CurveError(f"width {label}: {cause}") from cause
        except Exception as cause:
            reason = (str(cause).splitlines() or [""])[0]
            raise CurveError(
                f"expected the {name} of each sample at width {label}, got {type(cause).__name__}: {reason}; "
                "check per_sample on that network"
            ) from cause

    def _check(self, scores_B: Tensor, size: int, rung: int) -> None:
        if len(scores_B) != size:
            raise CurveError(
                f"expected {size} numbers of {self._score.name} for a batch of {size} samples, got {len(scores_B)}; "
                "check per_sample"
            )
        low, high = self.bounds or (-torch.inf, torch.inf)
        out = scores_B[(scores_B < low) | (scores_B > high)]
        if len(out):
            raise CurveError(
                f"expected every {self._score.name} to lie in bounds=({low:g}, {high:g}), got {float(out[0]):g} at "
                f"width {self._ladder[rung].label}; give bounds that hold for all samples, or None"
            )
