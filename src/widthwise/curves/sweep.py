"""The sweep: extract the network at each width, measure what it costs, score it, and keep what is finished.

What is scored is what is shipped: the extracted network, never the large one at a narrow width.
"""

import math
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, final

from torch import Tensor, nn

from widthwise._shared import CurveError, WidthWarning, WidthwiseError, describe_environment, track
from widthwise.curves.curve import Curve
from widthwise.curves.fingerprint import hash_tensors
from widthwise.curves.grid import Candidate, HasWidths, Width, half_octaves, make_candidates, warn_of_untrained
from widthwise.curves.point import Point
from widthwise.curves.resume import Header, check_folder, read_finished, widths_key
from widthwise.curves.score import Score
from widthwise.measure import count_parameters, time_latency
from widthwise.slicing.formats import exported_bytes

__all__ = ["Evaluate", "Sweepable", "curve"]

# A Score is one of these.
Evaluate = Callable[[nn.Module], float]


class HasLowest(Protocol):
    """What is asked of a law here: the smallest fraction that was trained."""

    @property
    def lowest(self) -> float:
        """The smallest fraction drawn in training."""
        ...


class Sweepable(HasWidths, Protocol):
    """What a curve asks of a model; `Elastic` is one."""

    @property
    def law(self) -> HasLowest:
        """The law it was trained with."""
        ...

    @property
    def has_statistics(self) -> bool:
        """Whether a batch norm uses running statistics in evaluation mode."""
        ...

    def extract(self, width: Width, /, *, calibrate: Iterable[object] | None = None) -> nn.Module:
        """Return the plain network at a width."""
        ...

    def macs(self, width: Width, /) -> int:
        """Return the MACs of one sample at a width."""
        ...

    def example_batch(self, size: int, /) -> tuple[tuple[object, ...], dict[str, object]]:
        """Return example inputs with a batch of that size."""
        ...

    def state_dict(self) -> dict[str, Tensor]:
        """Return the weights."""
        ...

    def elastic_state(self) -> dict[str, Tensor]:
        """Return the tensors that the model keeps beside the weights."""
        ...


def curve(
    model: Sweepable,
    evaluate: Evaluate,
    *,
    widths: Iterable[Width] | None = None,
    calibrate: Iterable[object] | None = None,
    latency: bool = True,
    path: str | os.PathLike[str] | None = None,
    progress: bool | None = None,
    extra_scores: Mapping[str, Evaluate] | None = None,
    fingerprint: str | None = None,
) -> Curve:
    """Measure score and costs of `model` at several widths, each on the extracted network.

    Args:
        model: A trained `Elastic`.
        evaluate: A `Score`, or a function of a plain network in eval mode that returns a number, higher is better.
        widths: Fractions, dicts of widths, or points; those that give the same network are measured once. None takes
            half octaves from the law's smallest fraction to 1.
        calibrate: Batches of training inputs for measuring BatchNorm statistics again at every width below full.
        latency: Whether to time each network: batch 1, one thread, on this machine.
        path: A JSON file, written anew after each point. Points that it holds of the same weights are not measured
            again.
        progress: Whether to draw a progress bar on stderr; None draws one on a terminal.
        extra_scores: More scores by name, stored in each point beside the one that `Curve.pick` goes by.
        fingerprint: What tells these weights from others in `path`; None takes a hash of the weights.

    Returns:
        The points asked for, and those that `path` held already.

    Raises:
        CurveError: Where a score raises or is no finite number, or the file is damaged or cannot be written.
        WidthError: Where the model cannot run at one of the widths.

    Warns:
        WidthWarning: Where BatchNorm is not calibrated, or a width was not trained.
        UserWarning: Where `path` holds the curve of another model.
    """
    candidates = make_candidates(model, half_octaves(model.law.lowest) if widths is None else widths)
    name = evaluate.name if isinstance(evaluate, Score) else "score"
    plan = _Plan(model=model, scores=_name_scores(name, evaluate, extra_scores), calibrate=calibrate, latency=latency)
    _check_calibration(model, calibrate, candidates)
    if path is not None:
        check_folder(Path(path))
    warn_of_untrained(model, candidates, model.law.lowest)
    header = Header(
        name=name,
        higher_is_better=evaluate.higher_is_better if isinstance(evaluate, Score) else True,
        fingerprint=_name_weights(model) if fingerprint is None and path is not None else fingerprint,
        is_calibrated=calibrate is not None and model.has_statistics,
        environment=dict(describe_environment()),
    )
    points = {} if path is None else read_finished(Path(path), header, set(model.widths(1.0)), plan.is_finished)
    missing = [candidate for candidate in candidates if widths_key(candidate.widths) not in points]
    bar = track(missing, "measuring the curve", show=progress)
    for candidate in bar:
        point = plan.measure(candidate)
        points[widths_key(candidate.widths)] = point
        bar.note(f"{name} {point.score:.4g} at width {point.label}")
        if path is not None:
            header.make_curve(points.values()).save(path)
    return header.make_curve(points.values())


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class _Plan:
    """What to do at each width."""

    model: Sweepable
    scores: dict[str, Evaluate]  # the first is the one to pick by
    calibrate: Iterable[object] | None
    latency: bool

    def measure(self, candidate: Candidate) -> Point:
        # Full width is the network as it was trained: its running statistics are its own.
        calibrate = None if candidate.width == 1.0 else self.calibrate
        with warnings.catch_warnings():
            # What these would say of one width was said of the whole curve.
            warnings.simplefilter("ignore", WidthWarning)
            net = self.model.extract(candidate.widths, calibrate=calibrate).eval()
        # Costs first: an evaluation may change the network that it is given.
        point = Point(
            width=candidate.width,
            widths=candidate.widths,
            score=0.0,
            params=count_parameters(net),
            macs=self.model.macs(candidate.widths),
            bytes=exported_bytes(net, candidate.widths),
        )
        if self.latency:
            args, kwargs = self.model.example_batch(1)
            timed = time_latency(net, args, example_kwargs=kwargs, threads=1)
            point = replace(point, latency_ms=timed.median_ms, latency_range_ms=(timed.low_ms, timed.high_ms))
        scores = {name: _evaluate(name, evaluate, net, candidate) for name, evaluate in self.scores.items()}
        return replace(point, score=next(iter(scores.values())), scores=scores)

    def is_finished(self, point: Point) -> bool:
        return set(self.scores) <= set(point.scores) and (point.latency_ms is not None or not self.latency)


def _evaluate(name: str, evaluate: Evaluate, net: nn.Module, candidate: Candidate) -> float:
    where = f"expected the {name} at width {candidate.label} to be a finite number"
    try:
        found: object = evaluate(net)
        score = float(found)  # pyright: ignore[reportArgumentType]  # a tensor or a number of numpy will do
    except WidthwiseError as cause:
        raise CurveError(f"width {candidate.label}: {cause}") from cause
    except Exception as cause:
        reason = (str(cause).splitlines() or [""])[0]
        raise CurveError(f"{where}, got {type(cause).__name__}: {reason}; check evaluate on that network") from cause
    if not math.isfinite(score):
        raise CurveError(f"{where}, got {score}; check evaluate on that network, or leave that width out")
    return score


def _name_scores(name: str, evaluate: Evaluate, extra: Mapping[str, Evaluate] | None) -> dict[str, Evaluate]:
    scores = {name: evaluate}
    for other, function in (extra or {}).items():
        if other in scores:
            raise CurveError(f"expected every score under a name of its own, got {other!r} twice; rename the extra one")
        scores[other] = function
    return scores


def _check_calibration(model: Sweepable, calibrate: Iterable[object] | None, candidates: list[Candidate]) -> None:
    if isinstance(calibrate, Iterator):
        raise CurveError(
            f"expected calibration batches that can be gone through once per width, got the one-way "
            f"{type(calibrate).__name__}; pass a list of batches or a DataLoader"
        )
    is_narrow = any(candidate.width != 1.0 for candidate in candidates)
    if calibrate is None and is_narrow and model.has_statistics:
        warnings.warn(
            "expected calibrate for a network with BatchNorm, got none; its running statistics are those of full "
            "width, so every narrower score is far too low: pass some 2,000 training samples as calibrate",
            WidthWarning,
            stacklevel=3,
        )


def _name_weights(model: Sweepable) -> str:
    extra = {f"elastic {name}": tensor for name, tensor in model.elastic_state().items()}
    return hash_tensors({**model.state_dict(), **extra})
