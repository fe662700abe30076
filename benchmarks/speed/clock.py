"""Time several pieces of work against each other, in turns, so that what else the machine does hits all alike."""

import gc
import math
import statistics
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

__all__ = ["Times", "find_even_mean", "find_paired_ratio", "find_ratio", "summarize", "take_turns"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Times:
    """Nanoseconds of each run of one piece of work: on the wall, and of the processor, summed over the threads."""

    wall_ns: list[int] = field(default_factory=list)
    cpu_ns: list[int] = field(default_factory=list)


def take_turns(
    works: Mapping[str, Callable[[], object]],
    *,
    turns: int,
    runs: int,
    warmup: int,
    prepare: Mapping[str, Callable[[], object]] | None = None,
) -> dict[str, Times]:
    """Return the times of every piece of work, by name.

    A turn is `runs` runs of one of them, one after the other, so that its memory is as close to the processor as in a
    loop of its own. Who begins changes from turn to turn. The garbage collector is off.

    Args:
        works: What to run.
        turns: How many turns each of them gets.
        runs: How many runs a turn has.
        warmup: Runs of each before the clock starts.
        prepare: What is done before each run of a work, off the clock; nothing for works that are not named.
    """
    preparations = {name: (prepare or {}).get(name, _do_nothing) for name in works}
    times = {name: Times() for name in works}
    order = list(works)
    with _no_collection():
        for name, work in works.items():
            for _ in range(warmup):
                preparations[name]()
                work()
        for _ in range(turns):
            for name in order:
                for _ in range(runs):
                    preparations[name]()
                    _time(works[name], times[name])
            order.reverse()
    return times


def summarize(times_ns: Sequence[int]) -> dict[str, float]:
    """Return median, 10th and 90th percentile and mean in milliseconds, to five digits."""
    ordered = sorted(times_ns)
    values = {
        "median_ms": statistics.median(ordered),
        "low_ms": _percentile(ordered, 0.1),
        "high_ms": _percentile(ordered, 0.9),
        "mean_ms": statistics.fmean(ordered),
    }
    return {name: float(f"{value / 1e6:.5g}") for name, value in values.items()}


def find_ratio(first_ns: Sequence[int], second_ns: Sequence[int]) -> float:
    """Return the median of the first divided by that of the second, to four decimals."""
    return round(statistics.median(first_ns) / statistics.median(second_ns), 4)


def find_paired_ratio(first_ns: Sequence[int], second_ns: Sequence[int], runs: int) -> float:
    """Return the ratio of two works that took turns of so many runs, to four decimals.

    Of each turn of the one and that of the other beside it, the ratio of their medians; of these, the median. What
    slows the machine down for longer than a turn cancels, so that ratios next to one can be told from one.
    """
    turns = range(0, len(first_ns), runs)
    medians = [(statistics.median(first_ns[i : i + runs]), statistics.median(second_ns[i : i + runs])) for i in turns]
    return round(statistics.median(first / second for first, second in medians), 4)


def find_even_mean(times_ns: Sequence[int], num_kinds: int) -> float:
    """Return the mean in milliseconds of runs of several kinds, which come one after the other, again and again.

    Of each kind the median is taken first, so that what else the machine does weighs little, and each kind counts once.
    """
    medians = [statistics.median(times_ns[kind::num_kinds]) for kind in range(num_kinds)]
    return float(f"{statistics.fmean(medians) / 1e6:.5g}")


def _do_nothing() -> None:
    """Prepare what needs no preparation."""


def _time(work: Callable[[], object], times: Times) -> None:
    cpu = time.process_time_ns()
    wall = time.perf_counter_ns()
    work()
    times.wall_ns.append(time.perf_counter_ns() - wall)
    times.cpu_ns.append(time.process_time_ns() - cpu)


def _percentile(ordered: Sequence[int], fraction: float) -> float:
    # Linear between the two nearest ranks: quantile type 7 of Hyndman and Fan (1996).
    position = fraction * (len(ordered) - 1)
    below = math.floor(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (position - below) * (ordered[above] - ordered[below])


@contextmanager
def _no_collection() -> Generator[None]:
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
