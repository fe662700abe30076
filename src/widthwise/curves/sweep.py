"""The sweep: extract the network at each width, measure what it costs, score it, and keep what is finished.

What is scored is what is shipped: the extracted network, never the large one at a narrow width.
"""

import os
import warnings
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Literal

from widthwise._shared import CurveError, WidthWarning, describe_environment, track
from widthwise.curves.adaptive import MAX_POINTS, Refinement
from widthwise.curves.curve import Curve
from widthwise.curves.evaluation import Evaluate, find_directions, name_scores
from widthwise.curves.fingerprint import hash_model
from widthwise.curves.grid import Candidate, Width, half_octaves, make_candidates, warn_of_untrained
from widthwise.curves.plan import Plan
from widthwise.curves.resume import Header, check_folder, read_started
from widthwise.curves.rounds import Rounds
from widthwise.curves.score import Score
from widthwise.curves.sweepable import Sweepable

__all__ = ["Evaluate", "Sweepable", "check_calibration", "curve"]


def curve(
    model: Sweepable,
    evaluate: Evaluate,
    *,
    widths: Iterable[Width] | Literal["adaptive"] | None = None,
    calibrate: Iterable[object] | None = None,
    latency: bool = True,
    path: str | os.PathLike[str] | None = None,
    progress: bool | None = None,
    extra_scores: Mapping[str, Evaluate] | None = None,
    fingerprint: str | None = None,
    name: str | None = None,
    lower_is_better: Iterable[str] = (),
    max_points: int | None = None,
    tolerance: float | None = None,
    processes: int = 1,
    is_noisy: bool = False,
) -> Curve:
    """Measure score and costs of `model` at several widths, each on the extracted network.

    Args:
        model: A trained `Elastic`.
        evaluate: A `Score`, or a function of a plain network in eval mode that returns a number. Of a `Score` the
            standard errors are stored too.
        widths: Fractions, dicts of widths, or points; those that give the same network are measured once. None takes
            half octaves from the law's smallest fraction to 1; "adaptive" takes octaves, and then widths where the
            curve bends most.
        calibrate: Batches of training inputs for measuring BatchNorm statistics again at every width below full.
        latency: Whether to time each network: batch 1, one thread, on this machine.
        path: A JSON file, written anew after each point. Points that it holds of the same weights are not measured
            again.
        progress: Whether to draw a progress bar on stderr; None draws one on a terminal.
        extra_scores: More scores by name, stored in each point beside the one that `Curve.pick` goes by.
        fingerprint: What tells these weights from others in `path`; None takes a hash of the weights.
        name: The word for a score that is a function; None for "score".
        lower_is_better: The names of the scores, among those that are functions, of which less is better.
        max_points: The most points of adaptive widths; None for 16.
        tolerance: Adaptive widths end where a straight line between neighbours is as near as that to the curve, in the
            unit of the score; None takes a hundredth of the range of the scores.
        processes: How many processes score networks at a time. With more than one, scores and networks must be such
            that can be pickled, and networks are timed before, when none of them runs.
        is_noisy: Whether scores may differ from call to call. Else that is looked for, on the narrowest network, and
            refused.

    Returns:
        The points asked for, and those that `path` held already.

    Raises:
        CurveError: Where a score raises, is no finite number or differs from call to call, or the file is damaged or
            cannot be written.
        WidthError: Where the model cannot run at one of the widths.

    Warns:
        WidthWarning: Where BatchNorm is not calibrated, or a width was not trained.
        UserWarning: Where `path` holds the curve of another model.
    """
    refinement = _make_refinement(widths, max_points, tolerance)
    candidates = _find_first(model, widths, refinement)
    scores = name_scores(_find_name(evaluate, name), evaluate, extra_scores)
    plan = Plan(
        model=model, scores=scores, calibrate=calibrate, latency=latency, processes=processes, is_noisy=is_noisy
    )
    check_calibration(model, calibrate, candidates)
    if path is not None:
        check_folder(Path(path))
    warn_of_untrained(model, candidates, model.law.lowest)
    own = hash_model(model) if fingerprint is None and path is not None else fingerprint
    header = _make_header(plan, find_directions(scores, lower_is_better), own)
    started = None if path is None else read_started(Path(path), header, set(model.widths(1.0)))
    rounds = Rounds(plan, header, started=started, path=path, refinement=refinement)
    bar = track(rounds.run(candidates), "measuring the curve", total=rounds.count(candidates), show=progress)
    for point in bar:
        bar.note(f"{header.name} {point.score:.4g} at width {point.label}")
    return rounds.finish()


def _make_refinement(
    widths: Iterable[Width] | str | None, max_points: int | None, tolerance: float | None
) -> Refinement | None:
    if widths == "adaptive":
        return Refinement(tolerance=tolerance, max_points=MAX_POINTS if max_points is None else max_points)
    if isinstance(widths, str):
        raise CurveError(f'expected widths, "adaptive" or None, got {widths!r}; give a list such as [1.0, 0.5, 0.25]')
    if max_points is not None or tolerance is not None:
        raise CurveError(
            "expected max_points and tolerance beside adaptive widths alone, got them for widths that are fixed; "
            'ask for widths="adaptive", or leave them out'
        )
    return None


def _find_first(
    model: Sweepable, widths: Iterable[Width] | str | None, refinement: Refinement | None
) -> list[Candidate]:
    if refinement is not None:
        return refinement.first_round(model, model.law.lowest)
    if widths is None or isinstance(widths, str):
        return make_candidates(model, half_octaves(model.law.lowest))
    return make_candidates(model, widths)


def _find_name(evaluate: Evaluate, name: str | None) -> str:
    if not isinstance(evaluate, Score):
        return name or "score"
    if name not in (None, evaluate.name):
        raise CurveError(f"expected the name of a Score to be its own, {evaluate.name!r}, got {name!r}; leave out name")
    return evaluate.name


def _make_header(plan: Plan, directions: dict[str, bool], fingerprint: str | None) -> Header:
    name = next(iter(plan.scores))
    return Header(
        name=name,
        higher_is_better=directions[name],
        fingerprint=fingerprint,
        is_calibrated=plan.calibrate is not None and plan.model.has_statistics,
        environment=dict(describe_environment()),
        directions=directions,
    )


def check_calibration(model: Sweepable, calibrate: Iterable[object] | None, candidates: Iterable[Candidate]) -> None:
    """Refuse calibration batches that can be used only once, and warn where a network wants some and has none."""
    if isinstance(calibrate, Iterator):
        raise CurveError(
            f"expected calibration batches that can be gone through once per width, got the one-way "
            f"{type(calibrate).__name__}; pass a list of batches or a DataLoader"
        )
    is_foreign = not model.law.runs_full or any(candidate.width != 1.0 for candidate in candidates)
    if calibrate is None and is_foreign and model.has_statistics:
        warnings.warn(
            "expected calibrate for a network with BatchNorm, got none; its running statistics are those of full "
            "width, so every narrower score is far too low: pass some 2,000 training samples as calibrate",
            WidthWarning,
            stacklevel=3,
        )
