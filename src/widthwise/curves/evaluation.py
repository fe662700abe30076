"""The scores of one network: of functions as they come, of a `Score` with every sample, so that errors can be told."""

# N samples
import math
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import final

import torch
from torch import Tensor, nn

from widthwise._shared import CurveError, WidthwiseError
from widthwise.curves.score import Score
from widthwise.curves.uncertainty import standard_error

__all__ = ["Evaluate", "Evaluation", "check_repeats", "evaluate_network", "find_directions", "name_scores"]

# A Score is one of these.
Evaluate = Callable[[nn.Module], float]

# Two calls on one network may differ by rounding, where threads or a GPU add up in another order: float32 holds seven
# digits, and sums lose two of them at most. Rounding may also turn the largest of two equal outputs, but hardly one in
# a thousand. Whatever draws random numbers differs by far more.
_ROUNDING, _SHARE = 1e-5, 1e-3


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluation:
    """What scores say of one network.

    Attributes:
        scores: Every score by name.
        samples: The numbers per sample, float64 [N], of those that have some.
    """

    scores: dict[str, float]
    samples: dict[str, Tensor] = field(default_factory=dict[str, Tensor])

    def errors(self) -> dict[str, float]:
        """Return the standard error of every score that has samples."""
        return _known({name: standard_error(own_N) for name, own_N in self.samples.items()})

    def drop_errors(self, full: Mapping[str, Tensor]) -> dict[str, float]:
        """Return the standard error of the difference to the full network, for every score that both have samples of.

        Args:
            full: The numbers per sample of the full network.
        """
        both = {name: own_N for name, own_N in self.samples.items() if name in full and len(full[name]) == len(own_N)}
        return _known({name: standard_error(full[name] - own_N) for name, own_N in both.items()})


def evaluate_network(scores: Mapping[str, Evaluate], net: nn.Module, label: str) -> Evaluation:
    """Return what every score says of a network.

    Args:
        scores: By name.
        net: The network.
        label: Its width in words.

    Raises:
        CurveError: Where a score raises, or is no finite number.
    """
    found = {name: _evaluate(name, evaluate, net, label) for name, evaluate in scores.items()}
    return Evaluation(
        scores={name: score for name, (score, _) in found.items()},
        samples={name: samples_N for name, (_, samples_N) in found.items() if samples_N is not None},
    )


def check_repeats(scores: Mapping[str, Evaluate], found: Evaluation, net: nn.Module, label: str) -> None:
    """Check that scores say of a network what they said of it before: on the first batch of a `Score`, else on all.

    Args:
        scores: By name.
        found: What they said.
        net: A copy of the network from before that, since an evaluation may change the one that it is given.
        label: Its width in words.

    Raises:
        CurveError: Where one of them says something else, or fails.
    """
    for name, evaluate in scores.items():
        again_B = _begin(name, evaluate, net, label)
        known_N = found.samples.get(name, torch.tensor([found.scores[name]], dtype=torch.float64))
        known_B = known_N[: len(again_B)]
        if _differ(known_B, again_B):
            what = " on the first batch" if name in found.samples else ""
            means = [f"{float(each.mean()):.6g}" for each in (known_B, again_B)]
            got = " and ".join(means) if means[0] != means[1] else "other numbers for the same samples"
            raise CurveError(
                f"expected the {name} of one network to be the same{what} whenever it is asked for, got {got} at width "
                f"{label}; seed what it draws (augmentation, a shuffled loader), or allow it with is_noisy=True"
            )


def name_scores(name: str, evaluate: Evaluate, extra: Mapping[str, Evaluate] | None) -> dict[str, Evaluate]:
    """Return all scores by name, the one to pick by first.

    Raises:
        CurveError: Where two have one name.
    """
    scores = {name: evaluate}
    for other, function in (extra or {}).items():
        if other in scores:
            raise CurveError(f"expected every score under a name of its own, got {other!r} twice; rename the extra one")
        scores[other] = function
    return scores


def find_directions(scores: Mapping[str, Evaluate], lower_is_better: Iterable[str]) -> dict[str, bool]:
    """Return for every score whether higher is better: what a `Score` says, and for a function True unless it is named.

    Args:
        scores: By name.
        lower_is_better: The names of functions.

    Raises:
        CurveError: Where a name is that of no function.
    """
    names = [lower_is_better] if isinstance(lower_is_better, str) else list(lower_is_better)
    functions = [name for name, evaluate in scores.items() if not isinstance(evaluate, Score)]
    for name in names:
        if name not in functions:
            known = f"one of {', '.join(functions)}" if functions else "none, since every Score says it by itself"
            raise CurveError(
                f"expected lower_is_better to name scores given as functions, got {name!r}; "
                f"name {known} (higher_is_better=False of a Score)"
            )
    return {
        name: evaluate.higher_is_better if isinstance(evaluate, Score) else name not in names
        for name, evaluate in scores.items()
    }


def _evaluate(name: str, evaluate: Evaluate, net: nn.Module, label: str) -> tuple[float, Tensor | None]:
    samples_N = None
    with _telling(name, label):
        if isinstance(evaluate, Score):
            samples_N = evaluate.all_samples(net)
        found: object = evaluate(net) if samples_N is None else samples_N.mean()
        score = float(found)  # pyright: ignore[reportArgumentType]  # a tensor or a number of numpy will do
    if not math.isfinite(score):
        raise CurveError(f"{_wish(name, label)}, got {score}; check evaluate on that network, or leave that width out")
    return score, samples_N


def _begin(name: str, evaluate: Evaluate, net: nn.Module, label: str) -> Tensor:
    """Return the scores of the first batch, or the one score of a function."""
    if not isinstance(evaluate, Score):
        return torch.tensor([_evaluate(name, evaluate, net, label)[0]], dtype=torch.float64)
    with _telling(name, label):
        first = next(iter(evaluate.samples(net)), None)
        return evaluate.all_samples(net) if first is None else first


@contextmanager
def _telling(name: str, label: str) -> Generator[None]:
    """Let what a score raises be an error that names its width."""
    try:
        yield
    except WidthwiseError as cause:
        raise CurveError(f"width {label}: {cause}") from cause
    except Exception as cause:
        reason = (str(cause).splitlines() or [""])[0]
        what = f"{type(cause).__name__}: {reason}"
        raise CurveError(f"{_wish(name, label)}, got {what}; check evaluate on that network") from cause


def _wish(name: str, label: str) -> str:
    return f"expected the {name} at width {label} to be a finite number"


def _differ(one_B: Tensor, other_B: Tensor) -> bool:
    if one_B.shape != other_B.shape:
        return True
    largest = max(float(one_B.abs().max()), float(other_B.abs().max()))
    num_different = int(((one_B - other_B).abs() > _ROUNDING * largest).sum())
    return num_different > _SHARE * len(one_B)


def _known(errors: Mapping[str, float | None]) -> dict[str, float]:
    return {name: error for name, error in errors.items() if error is not None}
