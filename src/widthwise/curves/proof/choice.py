"""The choice by evidence: the smallest network that is proven to keep to a drop, on as few samples as that takes."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

import torch

from widthwise._shared import CurveError, NoPointError, make_generator, track
from widthwise.curves.evidence import Evidence, Trial
from widthwise.curves.grid import Candidate, Width, warn_of_untrained
from widthwise.curves.point import Point
from widthwise.curves.proof.ladder import make_ladder
from widthwise.curves.proof.networks import Networks
from widthwise.curves.proof.promise import Promise
from widthwise.curves.proof.shuffle import shuffle
from widthwise.curves.proof.walk import Step, Walk
from widthwise.curves.score import Score
from widthwise.curves.sweep import Sweepable, check_calibration

__all__ = ["pick"]

_Batch = TypeVar("_Batch")


def pick(
    model: Sweepable,
    score: Score[_Batch],
    *,
    max_drop: float | str,
    confidence: float = 0.95,
    widths: Iterable[Width] | None = None,
    calibrate: Iterable[object] | None = None,
    bounds: tuple[float, float] | None = None,
    max_passes: float = 3.0,
    generator: torch.Generator | None = None,
    progress: bool | None = None,
) -> Point:
    """Return the smallest network whose true score is proven to be at most `max_drop` worse than full width's.

    From the widest to the narrowest, each network is compared with the full one on the same samples, in a random order,
    until it is certain that it keeps to the limit (then comes the next), that it does not, or that the samples will not
    tell. The first that is not proven ends the search. P(true drop of what is picked > max_drop) is at most 1 -
    confidence over the whole search, whatever the curve looks like. "True" is the mean over the population that the
    samples are independent draws of, not the mean over these samples. docs/statistics.md tells how, and what was
    measured.

    Args:
        model: A trained `Elastic`.
        score: One number per sample. The promise is about its mean.
        max_drop: In the unit of the score (0.01 is one point of accuracy), or relative to full width's as in "1%".
        confidence: How sure to be, in (0, 1).
        widths: Fractions, dicts of widths, or points to choose from, in whatever order; None takes quarter octaves from
            full width down to the smallest fraction that was trained. Do not choose them by looking at these samples.
        calibrate: Batches of training inputs for measuring BatchNorm statistics again at every width below full.
        bounds: The least and the greatest score that a sample can have. None takes (0, 1) where `per_sample` returns
            truth values, and else none: then the confidence is that of many samples, and not of any number.
        max_passes: The most forward passes of samples, in units of those of the loader, the full network's included;
            recalibration is not counted.
        generator: Draws the order of the samples; None draws it from seed 0.
        progress: Whether to draw a progress bar on stderr; None draws one on a terminal.

    Returns:
        The point, full width where no other is proven. Its score is the mean over the samples that it was tested on,
        and its `evidence` tells all that was tested.

    Raises:
        NoPointError: Where no number of samples, or none as small as this one, can prove anything; it says how many
            are needed.
        CurveError: Where `score` gives no number per sample, gives another one when asked again, or raises.
        WidthError: Where the model cannot run at one of the widths.

    Warns:
        WidthWarning: Where BatchNorm is not calibrated, a width was not trained, or the samples cannot be reordered.
    """
    _check_score(score)
    ladder = make_ladder(model, widths)
    check_calibration(model, calibrate, ladder)
    warn_of_untrained(model, ladder, model.law.lowest)
    shuffled = shuffle(score.loader, make_generator(0) if generator is None else generator)
    networks = Networks(
        model,
        ladder,
        replace(score, loader=shuffled.batches),
        calibrate=calibrate,
        sizes=shuffled.sizes,
        bounds=bounds,
    )
    promise = Promise(max_drop=max_drop, confidence=confidence, bounds=networks.bounds)
    walk = Walk(
        networks,
        len(ladder),
        promise,
        higher_is_better=score.higher_is_better,
        most_samples=_check_samples(promise, shuffled.sizes, max_passes),
    )
    last = _follow(walk, ladder, progress)
    picked = max((rung for rung, step in last.items() if step.verdict == "within"), default=0)
    return networks.make_point(picked, _gather(ladder, last, promise, sum(shuffled.sizes)))


def _follow(walk: Walk, ladder: Sequence[Candidate], progress: bool | None) -> dict[int, Step]:
    """Return the last step of each rung."""
    last: dict[int, Step] = {}
    bar = track(walk, "comparing with full width", show=progress)
    for step in bar:
        last[step.rung] = step
        found = step.comparison
        bar.note(f"width {ladder[step.rung].label}: drop {found.drop:.4f} on {len(found.drops):,} samples")
    return last


def _gather(ladder: Sequence[Candidate], last: Mapping[int, Step], promise: Promise, num_available: int) -> Evidence:
    end = max(last.values(), key=lambda step: step.rung)
    return Evidence(
        max_drop=promise.max_drop,
        confidence=promise.confidence,
        guarantee=promise.guarantee,
        num_available=num_available,
        num_full=end.num_full,
        num_narrow=end.num_narrow,
        trials=tuple(
            Trial(
                width=ladder[rung].width,
                widths=ladder[rung].widths,
                verdict=step.verdict,
                num_samples=len(step.comparison.drops),
                drop=step.comparison.drop,
                bound=step.comparison.bound(),
            )
            for rung, step in last.items()
        ),
    )


def _check_score(score: object) -> None:
    if not isinstance(score, Score):
        raise CurveError(
            f"expected a ww.Score, which gives one number per sample, got {type(score).__name__}; two networks are "
            "compared sample by sample: write ww.Score(per_sample, loader)"
        )


def _check_samples(promise: Promise, sizes: Sequence[int], max_passes: float) -> int:
    """Return the most forward passes, having checked that they, and the samples, are enough for some proof."""
    num_samples, least = sum(sizes), promise.least_samples()
    if num_samples < least:
        raise NoPointError(
            f"no width can be proven to keep to max_drop={promise.max_drop} with confidence {promise.confidence:g} on "
            f"{num_samples:,} samples; it takes at least {least:,} where a network errs on no other sample than full "
            "width does, and some times as many where it does: give score more samples, or raise max_drop"
        )
    # The full network's are as many as the narrow one's.
    cost = 2 * max(least, sizes[0])
    if not max_passes * num_samples >= cost:
        raise CurveError(
            f"expected max_passes to pay for {cost:,} forward passes of samples, which the shortest proof takes, "
            f"got {max_passes:g} x {num_samples:,}; raise it to {math.ceil(1000 * cost / num_samples) / 1000:g} or more"
        )
    return int(max_passes * num_samples)
