"""Wall time of one training step under the default law against the plain step, on an MLP 784-W-W-10 at batch 256.

    python -m benchmarks.speed.step            all cells; continues where it was stopped
    python -m benchmarks.speed.step --smoke    a few steps of the smallest one, into runs/

Both networks are trained in one process, in turns. Each cell has a process of its own, because the number of threads of
the operators is settled when torch is loaded. A step is: gradients cleared, forward, loss, backward, optimiser.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import torch
from torch import nn

import widthwise as ww
from benchmarks.record import ROOT, Record
from benchmarks.speed.clock import Times, find_ratio, summarize, take_turns
from widthwise.zoo import build_model

__all__ = ["RESULTS", "main", "measure_here"]

RESULTS = ROOT / "benchmarks/speed/results/step.json"
SMOKE = ROOT / "runs/benchmarks/step.json"
BATCH = 256
LEARNING_RATE = 1e-3
NUM_BATCHES = 16
WARMUP = 6
RUNS_PER_TURN = 4
THREADS = (1, 2)
# Turns of either network: enough for a steady median, few enough for a minute per cell at the most.
TURNS = {256: 60, 1024: 24, 2048: 12}
PHASES = ("forward", "backward", "optimizer")
Key = Mapping[str, object]


def main() -> None:
    parser = argparse.ArgumentParser(description="Time a training step under the default law against the plain one.")
    parser.add_argument("--smoke", action="store_true", help="a few steps of the smallest network, into runs/")
    parser.add_argument("--cell", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.cell:
        print(json.dumps(measure_here(**json.loads(arguments.cell))))
        return
    fill(SMOKE, smoke=True) if arguments.smoke else fill(RESULTS)


def fill(path: Path, *, smoke: bool = False) -> None:
    """Measure the cells that the file does not have yet."""
    turns = {256: 2} if smoke else TURNS
    seeds = (0,) if smoke else (0, 1, 2)
    settings = {
        "network": "MLP 784-W-W-10, ReLU",
        "batch": BATCH,
        "law": "log_uniform",
        "learning_rate": LEARNING_RATE,
        "turns": turns,
        "runs_per_turn": RUNS_PER_TURN,
        "warmup": WARMUP,
        "batches": NUM_BATCHES,
    }
    record = Record.open(
        path,
        benchmark="speed/step",
        tier="screen" if smoke else "confirm",
        seeds=seeds,
        settings=settings,
        threads=THREADS,
    )
    keys = [
        {"width": width, "optimizer": optimizer, "threads": threads, "seed": seed}
        for seed in seeds
        for width in turns
        for optimizer in ("adam", "fused_adam")
        for threads in THREADS
    ]
    record.fill(
        keys, lambda key: measure_in_child({**key, "turns": turns[cast("int", key["width"])]}), describe=describe
    )


def describe(result: Mapping[str, object]) -> str:
    return f"wall {result['wall_ratio']:.3f} of plain, processor {result['cpu_ratio']:.3f}"


def measure_in_child(arguments: Key) -> dict[str, object]:
    """Measure in a process that has the asked number of threads from its start."""
    environment = dict(os.environ)
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        environment[name] = str(arguments["threads"])
    command = [sys.executable, "-m", "benchmarks.speed.step", "--cell", json.dumps(dict(arguments))]
    done = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


def measure_here(width: int, optimizer: str, threads: int, seed: int, turns: int) -> dict[str, object]:
    """Return the times of both steps in this process, their split, and their ratios."""
    torch.set_num_threads(threads)
    generator = torch.Generator().manual_seed(seed)
    plain, net = (build_model("mlp", generator=generator, sizes=[784, width, width, 10]) for _ in range(2))
    model = ww.Elastic(net, (torch.zeros(2, 784),), generator=torch.Generator().manual_seed(seed))
    batches = [
        (torch.rand(BATCH, 784, generator=generator), torch.randint(10, (BATCH,), generator=generator))
        for _ in range(NUM_BATCHES)
    ]
    steps = {"elastic": Step(model, optimizer, batches), "plain": Step(plain, optimizer, batches)}
    times = take_turns(steps, turns=turns, runs=RUNS_PER_TURN, warmup=WARMUP)
    result: dict[str, object] = {name: steps[name].split(times[name]) for name in steps}
    elastic, plain_times = times["elastic"], times["plain"]
    result["wall_ratio"] = find_ratio(elastic.wall_ns, plain_times.wall_ns)
    result["cpu_ratio"] = find_ratio(elastic.cpu_ns, plain_times.cpu_ns)
    result["wall_sum_ratio"] = round(sum(elastic.wall_ns) / sum(plain_times.wall_ns), 4)
    result["cpu_sum_ratio"] = round(sum(elastic.cpu_ns) / sum(plain_times.cpu_ns), 4)
    result["macs_ratio"] = round(model.training_macs() / model.macs(), 4)
    result["threads"] = {"torch": torch.get_num_threads(), "openmp": os.environ.get("OMP_NUM_THREADS")}
    return result


class Step:
    """One training step; it takes down how long its phases last."""

    def __init__(self, net: nn.Module, optimizer: str, batches: list[tuple[torch.Tensor, torch.Tensor]]) -> None:
        self._net = net.train()
        self._optimizer = torch.optim.Adam(net.parameters(), lr=LEARNING_RATE, fused=optimizer == "fused_adam")
        self._batches = batches
        self._marks: list[tuple[int, ...]] = []

    def __call__(self) -> None:
        x_BI, y_B = self._batches[len(self._marks) % len(self._batches)]
        marks = [time.perf_counter_ns()]
        self._optimizer.zero_grad()
        loss = nn.functional.cross_entropy(self._net(x_BI), y_B)
        marks.append(time.perf_counter_ns())
        loss.backward()
        marks.append(time.perf_counter_ns())
        self._optimizer.step()
        marks.append(time.perf_counter_ns())
        self._marks.append(tuple(marks))

    def split(self, times: Times) -> dict[str, object]:
        """Return the summaries of whole steps, and the median of each phase."""
        marks = self._marks[-len(times.wall_ns) :]
        phases = {
            f"{phase}_ms": summarize([mark[i + 1] - mark[i] for mark in marks])["median_ms"]
            for i, phase in enumerate(PHASES)
        }
        return {"wall": summarize(times.wall_ns), "cpu": summarize(times.cpu_ns), **phases}


if __name__ == "__main__":
    main()
