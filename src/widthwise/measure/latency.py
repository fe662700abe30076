"""How long one forward pass takes on this machine: the median of many, and how far they spread."""

import gc
import math
import statistics
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from widthwise._shared import WidthwiseError
from widthwise.measure.mode import evaluating

__all__ = ["Latency", "time_latency"]

# Fewer runs than this say nothing about spread; they are made even where the time budget is spent.
_MIN_REPEATS = 5


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Latency:
    """Wall time of one forward pass in milliseconds, and under which conditions it was taken.

    Attributes:
        median_ms: Median of the passes.
        low_ms: Their 10th percentile.
        high_ms: Their 90th percentile.
        threads: Threads of torch within one operator.
        batch: Samples in the batch; 0 where the inputs hold no tensor with an axis.
        repeats: Passes that were timed.
        device: Where it ran, such as "cpu" or "cuda".
    """

    median_ms: float
    low_ms: float
    high_ms: float
    threads: int
    batch: int
    repeats: int
    device: str = "cpu"


def time_latency(
    net: nn.Module,
    example_args: tuple[object, ...],
    *,
    example_kwargs: Mapping[str, object] | None = None,
    threads: int = 1,
    repeats: int = 200,
    warmup: int = 5,
    budget_s: float = 0.5,
) -> Latency:
    """Time forward passes of `net` on the example inputs, with the batch as it is given.

    The network runs in eval mode under `torch.inference_mode`; its modes and the number of threads are restored, also
    after an error. Passes are timed one by one, with the garbage collector off; on a GPU each is waited for.

    Args:
        net: Any module, on the device of the inputs.
        example_args: Positional inputs. Latency is usually asked for at batch 1.
        example_kwargs: Keyword inputs.
        threads: Threads of torch within one operator while timing.
        repeats: At most this many passes are timed.
        warmup: Passes made beforehand and not counted.
        budget_s: Seconds after which no further pass is begun, warm-up included; five passes are timed in any case.

    Raises:
        WidthwiseError: Where a number is out of its range.
    """
    _check(threads=threads, repeats=repeats, warmup=warmup, budget_s=budget_s)
    kwargs = dict(example_kwargs or {})
    leaves = [leaf for leaf in pytree.tree_leaves((example_args, kwargs)) if isinstance(leaf, Tensor)]
    device = leaves[0].device if leaves else torch.device("cpu")

    def run() -> None:
        net(*example_args, **kwargs)
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    with evaluating(net), _threads(threads), _no_collection():
        times_ns = _time_passes(run, repeats=repeats, warmup=warmup, budget_s=budget_s)
    times_ms = sorted(time_ns / 1e6 for time_ns in times_ns)
    return Latency(
        median_ms=statistics.median(times_ms),
        low_ms=_percentile(times_ms, 0.1),
        high_ms=_percentile(times_ms, 0.9),
        threads=threads,
        batch=next((leaf.shape[0] for leaf in leaves if leaf.dim() > 0), 0),
        repeats=len(times_ms),
        device=device.type,
    )


def _check(*, threads: int, repeats: int, warmup: int, budget_s: float) -> None:
    for name, value, least in (("threads", threads, 1), ("repeats", repeats, 1), ("warmup", warmup, 0)):
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise WidthwiseError(
                f"expected {name} to be an integer of at least {least}, got {value!r}; give such a number"
            )
    if not (budget_s > 0 and math.isfinite(budget_s)):
        raise WidthwiseError(
            f"expected budget_s to be a positive number of seconds, got {budget_s!r}; give such a number"
        )


def _time_passes(run: Callable[[], None], *, repeats: int, warmup: int, budget_s: float) -> list[int]:
    began = time.perf_counter_ns()
    deadline = began + int(budget_s * 1e9)
    for _ in range(warmup):
        run()
        if time.perf_counter_ns() >= deadline:
            break
    times_ns: list[int] = []
    while len(times_ns) < repeats:
        started = time.perf_counter_ns()
        if started >= deadline and len(times_ns) >= _MIN_REPEATS:
            break
        run()
        times_ns.append(time.perf_counter_ns() - started)
    return times_ns


def _percentile(ordered: list[float], fraction: float) -> float:
    # Linear between the two nearest ranks: quantile type 7 of Hyndman and Fan (1996).
    position = fraction * (len(ordered) - 1)
    below = math.floor(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (position - below) * (ordered[above] - ordered[below])


@contextmanager
def _threads(count: int) -> Generator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _no_collection() -> Generator[None]:
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
