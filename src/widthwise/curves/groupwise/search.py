"""The search: how many units each width group should keep under a budget, in place of one fraction for all.

Networks are compared on the same samples: of a `Score` on some of its batches, on the way, and on all of them in the
end. What it returns are points of a curve: the answers, some of the best networks met on the way, and both ends.
"""

import itertools
import os
import warnings
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, Protocol, cast, final, get_args

import torch

from widthwise._shared import CurveError, WidthWarning, describe_environment, make_generator, track
from widthwise.curves.curve import Curve
from widthwise.curves.evaluation import Evaluate, find_directions, name_scores
from widthwise.curves.fingerprint import hash_model
from widthwise.curves.grid import Width, make_candidates
from widthwise.curves.groupwise.budget import LIMITS, Amount, limited_costs, make_budgets
from widthwise.curves.groupwise.evolution import evolve
from widthwise.curves.groupwise.finalists import choose_finalists
from widthwise.curves.groupwise.greedy import Losses, descend, improve
from widthwise.curves.groupwise.lattice import Lattice, Load, make_lattice
from widthwise.curves.groupwise.ledger import Ledger
from widthwise.curves.groupwise.meter import Meter, Outlined
from widthwise.curves.groupwise.scout import Scout
from widthwise.curves.groupwise.subset import take_first, thin_score
from widthwise.curves.groupwise.tryout import Runnable, Tryout
from widthwise.curves.pick import Limits, choose_point
from widthwise.curves.point import Point
from widthwise.curves.resume import Header, read_started
from widthwise.curves.score import Score
from widthwise.curves.sweep import check_calibration, curve
from widthwise.curves.sweepable import HasRange, Sweepable

__all__ = ["Method", "Searchable", "search"]

Method = Literal["greedy", "evolution"]
Explore = Callable[[Lattice, Scout, Sequence[Load]], None]

_NUM_SAMPLES = 2048
_EVOLUTION_TRIALS = 512
# So few networks are all tried: one group has up to 41 widths, down to 1/32.
_FEW = 64
# Under each budget so many networks are measured in full: the scores on fewer samples cannot tell the best of them.
_PER_BUDGET = 3


class HasSharing(HasRange, Protocol):
    """What is asked of a law here."""

    @property
    def sharing(self) -> str:
        """Whether the groups are drawn together: "shared", "jittered" or "independent"."""
        ...


class Searchable(Sweepable, Outlined, Runnable, Protocol):
    """What a search asks of a model; `Elastic` is one."""

    @property
    def law(self) -> HasSharing:
        """The law it was trained with."""
        ...


def search(
    model: Searchable,
    evaluate: Evaluate,
    *,
    max_params: Amount = None,
    max_macs: Amount = None,
    max_bytes: Amount = None,
    max_latency_ms: Amount = None,
    max_memory: Amount = None,
    method: Method = "greedy",
    calibrate: Iterable[object] | None = None,
    num_samples: int | None = None,
    max_trials: int | None = None,
    generator: torch.Generator | None = None,
    latency: bool = True,
    path: str | os.PathLike[str] | None = None,
    progress: bool | None = None,
    extra_scores: Mapping[str, Evaluate] | None = None,
    fingerprint: str | None = None,
) -> Curve:
    """Find the widths of each group that score best under a budget, or under several in one run.

    Every group keeps between the smallest fraction that was trained and all of its units, in steps of an eighth of an
    octave. Where that makes few networks, as with one group, all that fit are tried; else common fractions that fit,
    the widest and half octaves, are among those that "greedy" tries. Limits on several costs hold together; one of them
    may be a row of numbers, each a budget of its own.

    Args:
        model: A trained `Elastic`; its law should draw widths that differ between groups (`sharing="jittered"`).
        evaluate: As for `curve`. A `Score` runs on `num_samples` samples on the way, and on all of them in the end.
        max_params: Most parameters, or a row of such numbers.
        max_macs: Most multiply-accumulate operations per sample, likewise.
        max_bytes: Largest .safetensors file, likewise.
        max_latency_ms: Longest median time of one pass, batch 1 and one thread, likewise. It is measured at each
            network that is looked at, where the others are counted.
        max_memory: Most bytes that the values of one pass take at a time, at batch 1, likewise; weights come on top.
        method: "greedy" goes down from full width by the least score lost per cost saved, then moves units from group
            to group; "evolution" mutates and crosses networks, and tries more of them: the reference for the other.
        calibrate: As for `curve`; networks on the way see its first `num_samples` samples.
        num_samples: At most so many samples of a `Score` on the way; None takes 2,048.
        max_trials: Most networks to try under each budget, those of the descent of "greedy" not counted. None lets
            "greedy" go on until no move helps, and "evolution" try 512.
        generator: Draws the networks of "evolution"; None seeds one with 0.
        latency: Whether to time the networks that are returned.
        path: A JSON file, written anew after each network, so that a search goes on where it stopped; `Curve.load`
            reads it. Points that it holds of the same weights are returned too.
        progress: Whether to draw a progress bar on stderr; None draws one on a terminal.
        extra_scores: As for `curve`; they have no say in the search.
        fingerprint: As for `curve`.

    Returns:
        The points measured in full; `pick` with a budget gives its answer.

    Raises:
        NoPointError: Where the narrowest network is over a budget; it is named.
        CurveError: Where a score raises or is no finite number, a limit or a setting makes no sense, or the file is
            damaged or cannot be written.

    Warns:
        WidthWarning: Where widths that differ were never trained together, or BatchNorm is not calibrated.
        UserWarning: Where `path` holds the search of another model, or one on other samples.
    """
    amounts = (max_params, max_macs, max_bytes, max_latency_ms, max_memory)
    budgets = make_budgets(**dict(zip(LIMITS.values(), amounts, strict=True)))
    explore = _choose_method(method, max_trials, generator)
    few = _take_few(evaluate, num_samples)
    check_calibration(model, calibrate, make_candidates(model, [model.law.lowest]))
    lattice = make_lattice(model, model.law.lowest)
    _warn_of_sharing(model.law, lattice, stacklevel=2)
    ledger = Ledger(
        header=_make_header(model, evaluate, calibrate, extra_scores, fingerprint, path),
        groups=lattice.groups,
        num_samples=None if few is evaluate else num_samples or _NUM_SAMPLES,
        path=None if path is None else Path(path),
    )
    if ledger.path is not None:
        ledger.read(read_started(ledger.path, ledger.header, set(lattice.groups)) or ())
    scorer = _Scorer(model=model, evaluate=evaluate, calibrate=calibrate, latency=latency, extra=extra_scores or {})
    with _bar(progress) as tell:
        scout = scorer.make_scout(few, lattice, ledger, is_timing=max_latency_ms is not None, tell=tell)
        _run(model, scout, lattice, budgets, explore)
    return ledger.make_curve()


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class _Scorer:
    """How networks are scored: on the way, and in the end as for a curve."""

    model: Searchable
    evaluate: Evaluate
    calibrate: Iterable[object] | None
    latency: bool
    extra: Mapping[str, Evaluate]

    def make_scout(
        self, few: Evaluate, lattice: Lattice, ledger: Ledger, *, is_timing: bool, tell: Callable[[str], None]
    ) -> Scout:
        is_calibrated = self.calibrate is not None and self.model.has_statistics
        fewer = take_first(self.calibrate or (), ledger.num_samples or _NUM_SAMPLES) if is_calibrated else None
        name = few.name if isinstance(few, Score) else "score"
        tryout = Tryout(model=self.model, name=name, evaluate=few, calibrate=fewer)
        return Scout(lattice, ledger, tryout, self.measure, self.is_finished, is_timing=is_timing, tell=tell)

    def measure(self, width: Width, latency: bool) -> Point:
        return curve(
            self.model,
            self.evaluate,
            widths=[width],
            calibrate=self.calibrate,
            latency=latency and self.latency,
            progress=False,
            extra_scores=self.extra,
            # Whether the score repeats itself is looked at once, where that is cheapest.
            is_noisy=self.model.widths(width) != self.model.widths(self.model.law.lowest),
        ).points[0]

    def is_finished(self, point: Point) -> bool:
        return set(self.extra) <= set(point.scores) and (point.latency_ms is not None or not self.latency)


def _run(
    model: Searchable,
    scout: Scout,
    lattice: Lattice,
    budgets: Sequence[Limits],
    explore: Explore,
) -> None:
    """Measure both ends, look for what is good under each budget, and measure the best of that.

    Raises:
        NoPointError: Where the narrowest network is over a budget.
    """
    ends = [scout.measure(lattice.full), scout.measure(lattice.smallest)]
    meter = Meter(model, lattice, ends, extract=scout.extract, time=scout.time)
    loads = [meter.load(budget) for budget in budgets]
    for budget, load in zip(budgets, loads, strict=True):
        if load(lattice.smallest) > 1:
            choose_point(ends[1:], budget, higher_is_better=scout.higher_is_better)
    explore(lattice, scout, loads)
    cost = partial(meter.cost, next(iter(limited_costs(budgets[0]))))
    per_budget = 1 if scout.is_whole else _PER_BUDGET
    for units in choose_finalists(scout.known, loads, cost, per_budget=per_budget):
        scout.measure(units)


def _choose_method(method: str, max_trials: int | None, generator: torch.Generator | None) -> Explore:
    """Return what looks for good widths.

    Raises:
        CurveError: Where there is no such method, or a setting has no meaning for it.
    """
    if method not in get_args(Method):
        raise CurveError(
            f"expected method to be one of {', '.join(get_args(Method))}, got {method!r}; use one of these"
        )
    _check_count("max_trials", max_trials)
    if method == "evolution":
        return partial(_explore, max_trials or _EVOLUTION_TRIALS, generator or make_generator(0))
    if generator is not None:
        raise CurveError(f'expected a generator for method="evolution" alone, got one for {method!r}; leave it out')
    return partial(_explore, max_trials, None)


def _explore(
    max_trials: int | None, generator: torch.Generator | None, lattice: Lattice, scout: Scout, loads: Sequence[Load]
) -> None:
    """Look for widths that score well under each budget, the largest first: by evolution where there is a generator."""
    here, losses = lattice.full, Losses()

    def is_spent() -> bool:
        return max_trials is not None and scout.num_tried >= max_trials

    for load in loads:
        if load(lattice.full) <= 1:
            # Nothing has to go.
            scout.goodness(lattice.full)
        elif lattice.num_units <= _FEW:
            for units in itertools.product(*lattice.rungs):
                if load(units) <= 1:
                    scout.goodness(units)
        elif generator is not None:
            scout.count_anew()
            evolve(lattice, load, scout.goodness, generator, is_spent=is_spent)
        else:
            here = descend(lattice, load, scout.goodness, here, losses)
            scout.count_anew()
            common = [units for units in lattice.half_octaves if load(units) <= 1]
            start = max(here, lattice.find_common(load), *common, key=scout.goodness)
            here = improve(lattice, load, scout.goodness, start, losses, is_spent=is_spent)


def _make_header(
    model: Searchable,
    evaluate: Evaluate,
    calibrate: Iterable[object] | None,
    extra: Mapping[str, Evaluate] | None,
    fingerprint: str | None,
    path: str | os.PathLike[str] | None,
) -> Header:
    name = evaluate.name if isinstance(evaluate, Score) else "score"
    directions = find_directions(name_scores(name, evaluate, extra), ())
    return Header(
        name=name,
        higher_is_better=directions[name],
        fingerprint=hash_model(model) if fingerprint is None and path is not None else fingerprint,
        is_calibrated=calibrate is not None and model.has_statistics,
        environment=dict(describe_environment()),
        directions=directions,
    )


def _take_few(evaluate: Evaluate, num_samples: int | None) -> Evaluate:
    """Return the score on the way: a `Score` on fewer samples, a function as it is.

    Raises:
        CurveError: Where samples are asked for that a function cannot be told.
    """
    _check_count("num_samples", num_samples)
    if isinstance(evaluate, Score):
        return thin_score(evaluate, num_samples or _NUM_SAMPLES)
    if num_samples is not None:
        raise CurveError(
            f"expected a Score to take {num_samples} samples of, got a function, which takes its own; "
            "leave out num_samples, or pass a ww.Score"
        )
    return evaluate


def _check_count(name: str, number: int | None) -> None:
    if number is not None and (not isinstance(number, int) or isinstance(number, bool) or number < 1):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise CurveError(f"expected {name} to be a whole number, at least 1, got {number!r}; leave it out")


def _warn_of_sharing(law: HasSharing, lattice: Lattice, *, stacklevel: int) -> None:
    num_moving = sum(len(rungs) > 1 for rungs in lattice.rungs)
    if law.sharing == "shared" and num_moving > 1:
        warnings.warn(
            "expected a law that draws widths which differ between groups, got sharing='shared'; those that are found "
            "were never trained together and score less than they could: train with Law(sharing='jittered')",
            WidthWarning,
            stacklevel=stacklevel + 1,
        )


@contextmanager
def _bar(progress: bool | None) -> Generator[Callable[[str], None]]:
    """Draw a bar that moves on with every network; how many there will be nobody knows."""
    bar = track(itertools.count(), "searching widths", show=progress)
    with closing(cast("Generator[int]", iter(bar))) as ticks:

        def tell(note: str) -> None:
            bar.note(note)
            next(ticks)

        yield tell
