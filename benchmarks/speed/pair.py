"""A plain network and an elastic one of the same kind, trained in one process, in turns."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import final

import torch
from torch import Tensor, nn

import widthwise as ww
from benchmarks.speed.clock import Times, find_even_mean, take_turns
from benchmarks.speed.draws import find_even_seeds, mean_macs
from benchmarks.speed.networks import Network
from widthwise.elastic import make_law

__all__ = ["LEARNING_RATE", "NUM_BATCHES", "NUM_DRAWS", "RUNS_PER_TURN", "WARMUP", "Step", "build_step", "measure_pair"]

LEARNING_RATE = 1e-3
NUM_BATCHES = 16
# Of the law: each stands for as large a share of its steps, twice as many as "octaves" has levels and ways to draw.
NUM_DRAWS = 24
RUNS_PER_TURN = 4
WARMUP = 6
PHASES = ("forward", "backward", "optimizer")
_NAMES = ("elastic", "plain")
# What a graph is compiled for comes again and again: the octaves of width, and nothing between them.
_COMPILED = {"widths": 6, "between": 0.0}


@final
class Step:
    """One training step, again and again; run i of a measurement is at draw i of the law, modulo their number.

    Args:
        net: The network, in training mode.
        batches: Inputs and classes, taken in turn.
        seeds: Of each draw.
        generator: What draws; seeded anew before each step.
        is_fused: Whether Adam is one operator.
    """

    def __init__(
        self,
        net: nn.Module,
        batches: Sequence[tuple[Tensor, Tensor]],
        seeds: Sequence[int],
        generator: torch.Generator,
        *,
        is_fused: bool,
    ) -> None:
        self._net = net.train()
        self._optimizer = torch.optim.Adam(net.parameters(), lr=LEARNING_RATE, fused=is_fused)
        self._batches = batches
        self._seeds = seeds
        self._generator = generator
        self._is_on_gpu = batches[0][0].is_cuda
        self._marks: list[tuple[int, ...]] = []
        self._number = -WARMUP

    def prepare(self) -> None:
        """Seed the next draw, and wait for the GPU."""
        self._generator.manual_seed(self._seeds[self._number % len(self._seeds)])
        self._wait()

    def __call__(self) -> None:
        """Take a step, and take down how long its phases last."""
        x, y_B = self._batches[self._number % len(self._batches)]
        marks = [time.perf_counter_ns()]
        self._optimizer.zero_grad()
        loss = nn.functional.cross_entropy(self._net(x), y_B)
        marks.append(time.perf_counter_ns())
        loss.backward()
        marks.append(time.perf_counter_ns())
        self._optimizer.step()
        self._wait()
        marks.append(time.perf_counter_ns())
        self._marks.append(tuple(marks))
        self._number += 1

    def rehearse(self, num_rounds: int) -> None:
        """Run at every draw; the next step is at the same one as before."""
        for _ in range(num_rounds * len(self._seeds)):
            self.prepare()
            self()

    def tell(self, times: Times) -> dict[str, float]:
        """Return the mean over the draws of whole steps, and where all is computed at once, of each phase."""
        marks, number = self._marks[-len(times.wall_ns) :], len(self._seeds)
        found = {"wall_ms": find_even_mean(times.wall_ns, number), "cpu_ms": find_even_mean(times.cpu_ns, number)}
        if self._is_on_gpu:
            return found
        phases = {
            f"{phase}_ms": find_even_mean([mark[i + 1] - mark[i] for mark in marks], number)
            for i, phase in enumerate(PHASES)
        }
        return {**found, **phases}

    def _wait(self) -> None:
        if self._is_on_gpu:
            torch.cuda.synchronize()


def build_step(build: Callable[[], Step], *, on_gpu: bool) -> tuple[Step, dict[str, float]]:
    """Return a step, and on a GPU the most memory that its network, its optimiser and a step at any draw take.

    Args:
        build: Makes the network and its step; nothing of it was there before.
        on_gpu: Whether it is on a GPU.
    """
    if not on_gpu:
        return build(), {}
    before = torch.cuda.memory_allocated()
    step = build()
    # What is compiled is compiled in the first round.
    step.rehearse(1)
    torch.cuda.reset_peak_memory_stats()
    step.rehearse(1)
    return step, {"peak_bytes": torch.cuda.max_memory_allocated() - before}


def measure_pair(
    network: Network,
    law: str,
    *,
    device: str = "cpu",
    is_fused: bool = False,
    is_compiled: bool = False,
    seed: int = 0,
    rounds: int = 1,
) -> dict[str, object]:
    """Return the times of both steps, their split, their ratios, and on a GPU the most memory that each takes.

    Args:
        network: Of the zoo.
        law: The name of the law; compiled, it keeps to the octaves of width.
        device: "cpu" or "cuda".
        is_fused: Whether Adam is one operator.
        is_compiled: Whether both are compiled.
        seed: Of parameters, batches, and the order of the draws.
        rounds: How often each network is run at every draw.
    """
    generator = torch.Generator().manual_seed(seed)
    chosen = make_law(law, **(_COMPILED if is_compiled else {}))
    evenly = find_even_seeds(chosen, NUM_DRAWS)
    seeds = [evenly[i] for i in torch.randperm(NUM_DRAWS, generator=generator).tolist()]
    batches = _draw_batches(network, generator, device)
    models: dict[str, nn.Module] = {}

    def build(name: str) -> Step:
        draws = torch.Generator()
        net = network.build(generator).to(device)
        models[name] = net if name == "plain" else ww.Elastic(net, (batches[0][0][:2],), law=chosen, generator=draws)
        if is_compiled:
            models[name].compile()
        return Step(models[name], batches, seeds, draws, is_fused=is_fused)

    if device == "cuda":
        # The workspaces that the libraries take at first use belong to neither.
        build("plain").rehearse(1)
    built = {name: build_step(lambda name=name: build(name), on_gpu=device == "cuda") for name in _NAMES}
    times = _time({name: step for name, (step, _) in built.items()}, rounds)
    told = {name: {**step.tell(times[name]), **peak} for name, (step, peak) in built.items()}
    return {**told, **_find_ratios(told["elastic"], told["plain"]), **_find_macs(models["elastic"], seeds)}


def _time(steps: Mapping[str, Step], rounds: int) -> dict[str, Times]:
    turns = rounds * NUM_DRAWS // RUNS_PER_TURN
    prepare = {name: step.prepare for name, step in steps.items()}
    return take_turns(steps, turns=turns, runs=RUNS_PER_TURN, warmup=WARMUP, prepare=prepare)


def _draw_batches(network: Network, generator: torch.Generator, device: str) -> list[tuple[Tensor, Tensor]]:
    drawn = [network.draw_batch(generator) for _ in range(NUM_BATCHES)]
    return [(x.to(device), y_B.to(device)) for x, y_B in drawn]


def _find_macs(model: nn.Module, seeds: list[int]) -> dict[str, float]:
    """Return the work of an elastic step in units of the plain one's: where it was timed, and of the whole law."""
    assert isinstance(model, ww.Elastic)
    full = model.macs()
    return {
        "macs_ratio": round(mean_macs(model, seeds) / full, 4),
        "law_macs_ratio": round(model.training_macs() / full, 4),
    }


def _find_ratios(elastic: Mapping[str, float], plain: Mapping[str, float]) -> dict[str, float]:
    names = {"wall_ms": "wall_ratio", "cpu_ms": "cpu_ratio", "peak_bytes": "peak_ratio"}
    return {ratio: round(elastic[name] / plain[name], 4) for name, ratio in names.items() if name in plain}
