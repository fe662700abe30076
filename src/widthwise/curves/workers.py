"""Score networks in several processes at a time.

Processes are spawned, not forked: a fork copies the locks of the threads that torch computes with. So what they score
with has to be pickled, and a script that starts them needs its `if __name__ == "__main__":`.
"""

import contextlib
import io
import pickle
from collections.abc import Generator, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from typing import Protocol, TypeVar, final

import torch
from torch import multiprocessing as torch_processes
from torch import nn

from widthwise._shared import CurveError
from widthwise.curves.evaluation import Evaluate, Evaluation, evaluate_network

__all__ = ["Workers", "open_workers"]


class Labelled(Protocol):
    """A network to score."""

    @property
    def label(self) -> str:
        """Its width in words."""
        ...


_Job = TypeVar("_Job", bound=Labelled)

# What a worker process was started with; a call that is sent to it finds nothing but what its module holds.
_held: dict[str, Evaluate] = {}


@final
class Workers:
    """Processes that wait for networks to score.

    Args:
        pool: Runs calls in other processes, each of which holds the scores.
        processes: How many they are.
    """

    def __init__(self, pool: ProcessPoolExecutor, processes: int) -> None:
        self._pool = pool
        self._processes = processes

    def evaluate(self, jobs: Iterable[tuple[_Job, nn.Module]]) -> Iterator[tuple[_Job, Evaluation]]:
        """Yield each job with what the scores say of its network, in the order in which they are done.

        Networks are taken as processes fall idle, so that only few of them are held at a time.

        Args:
            jobs: Each with its network.

        Raises:
            CurveError: Where a score fails, a network cannot be pickled, or a process dies.
        """
        queue = iter(jobs)
        running: dict[Future[bytes], _Job] = {}
        with _telling_of_death():
            while True:
                # One more than can run: it waits while the next network is made.
                for job, net in islice(queue, self._processes + 1 - len(running)):
                    network = _pickle(net, f"the network at width {job.label}")
                    running[self._pool.submit(_score, network, job.label)] = job
                if not running:
                    return
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    yield running.pop(future), pickle.loads(future.result())


@contextlib.contextmanager
def open_workers(scores: Mapping[str, Evaluate], processes: int) -> Generator[Workers]:
    """Hold worker processes for a block; where it raises, what has not begun is never done.

    Args:
        scores: What each of them scores with.
        processes: How many to start. They share the threads of this one.

    Raises:
        CurveError: Where a score cannot be pickled.
    """
    payloads = {name: _pickle(evaluate, f"the {name}") for name, evaluate in scores.items()}
    threads = max(1, torch.get_num_threads() // processes)
    context = torch_processes.get_context("spawn")
    pool = ProcessPoolExecutor(processes, mp_context=context, initializer=_start, initargs=(payloads, threads))
    try:
        yield Workers(pool, processes)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _start(payloads: Mapping[str, bytes], threads: int) -> None:
    torch.set_num_threads(threads)
    for name, payload in payloads.items():
        _held[name] = pickle.loads(payload)


def _score(payload: bytes, label: str) -> bytes:
    net: nn.Module = pickle.loads(payload)
    return pickle.dumps(evaluate_network(_held, net, label))


@contextlib.contextmanager
def _telling_of_death() -> Generator[None]:
    try:
        yield
    except BrokenProcessPool as cause:
        raise CurveError(
            "expected processes that score networks until the end, got one that died; give them more memory, start "
            'them below `if __name__ == "__main__":` in a script, or leave out processes'
        ) from cause


def _pickle(value: object, what: str) -> bytes:
    # By value: tensors handed over in shared memory take a file descriptor each.
    buffer = io.BytesIO()
    try:
        pickle.Pickler(buffer, protocol=pickle.HIGHEST_PROTOCOL).dump(value)
    except Exception as cause:
        reason = (str(cause).splitlines() or [""])[0]
        raise CurveError(
            f"expected {what} to be something that other processes can be sent, got {type(cause).__name__}: {reason}; "
            "write it as a function or class at the top of a module, or leave out processes"
        ) from cause
    return buffer.getvalue()
