"""Wall time of a training step with compiled graphs against the same step without, and what compiling takes.

    python -m benchmarks.speed.compiled            all cells; continues where it was stopped
    python -m benchmarks.speed.compiled --smoke    a few steps of the smaller one, into runs/

Both models are trained in one process, in turns, on one thread, at the same widths. Each cell has a process of its own,
whose compiler finds an empty cache. Compiling is counted as what the first steps take, until every width has come.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn

import widthwise as ww
from benchmarks.record import ROOT, Record
from benchmarks.speed.clock import find_ratio, summarize, take_turns
from widthwise.elastic import Law
from widthwise.zoo import build_model

__all__ = ["RESULTS", "main", "measure_here"]

RESULTS = ROOT / "benchmarks/speed/results/compiled.json"
SMOKE = ROOT / "runs/benchmarks/compiled.json"
LEARNING_RATE = 1e-3
WIDTHS = (0.25, 0.5, 0.75, 1.0)
# One width per step, and one part of the batch for each.
LAWS = {"one width": Law(widths=WIDTHS, chunks=1), "parts": Law(widths=WIDTHS)}
NETWORKS: dict[str, tuple[str, dict[str, object], tuple[int, ...], int]] = {
    "MLP 784-1024-1024-10": ("mlp", {"sizes": [784, 1024, 1024, 10]}, (784,), 256),
    "ResidualConvNet 16-24-48": ("resnet", {"widths": [16, 24, 48]}, (3, 32, 32), 64),
}
RUNS_PER_TURN = 4
Key = Mapping[str, object]


def main() -> None:
    parser = argparse.ArgumentParser(description="Time a training step with compiled graphs against one without.")
    parser.add_argument("--smoke", action="store_true", help="a few steps of the smaller network, into runs/")
    parser.add_argument("--cell", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.cell:
        print(json.dumps(measure_here(**json.loads(arguments.cell))))
        return
    fill(SMOKE, smoke=True) if arguments.smoke else fill(RESULTS)


def fill(path: Path, *, smoke: bool = False) -> None:
    """Measure the cells that the file does not have yet."""
    networks = list(NETWORKS)[:1] if smoke else list(NETWORKS)
    laws, seeds, turns = list(LAWS)[:1] if smoke else list(LAWS), (0,), 2 if smoke else 20
    settings = {
        "networks": networks,
        "batch": {name: NETWORKS[name][3] for name in networks},
        "widths": WIDTHS,
        "optimizer": "sgd",
        "learning_rate": LEARNING_RATE,
        "turns": turns,
        "runs_per_turn": RUNS_PER_TURN,
    }
    record = Record.open(
        path,
        benchmark="speed/compiled",
        tier="screen",
        seeds=seeds,
        settings=settings,
        threads=(1,),
    )
    keys = [{"network": network, "law": law, "seed": seed} for seed in seeds for network in networks for law in laws]
    record.fill(keys, lambda key: measure_in_child({**key, "turns": turns}), describe=describe)


def describe(result: Mapping[str, object]) -> str:
    return f"wall {result['wall_ratio']:.3f} of plain, {result['compile_s']:.0f} s to compile"


def measure_in_child(arguments: Key) -> dict[str, object]:
    """Measure in a process of one thread, with a cache of its own for what is compiled."""
    with tempfile.TemporaryDirectory() as cache:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "TORCHINDUCTOR_CACHE_DIR": cache}
        command = [sys.executable, "-m", "benchmarks.speed.compiled", "--cell", json.dumps(dict(arguments))]
        done = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


def measure_here(network: str, law: str, seed: int, turns: int) -> dict[str, object]:
    """Return the times of both steps in this process, their ratio, and the seconds of compiling."""
    torch.set_num_threads(1)
    plain, compiled = (Step(network, law, seed) for _ in range(2))
    compiled.model.compile()
    compile_s, num_steps = meet_every_width(compiled)
    plain_s, _ = meet_every_width(plain)
    times = take_turns({"compiled": compiled, "plain": plain}, turns=turns, runs=RUNS_PER_TURN, warmup=2)
    return {
        "compiled": summarize(times["compiled"].wall_ns),
        "plain": summarize(times["plain"].wall_ns),
        "wall_ratio": find_ratio(times["compiled"].wall_ns, times["plain"].wall_ns),
        "wall_sum_ratio": round(sum(times["compiled"].wall_ns) / sum(times["plain"].wall_ns), 4),
        "compile_s": round(compile_s - plain_s, 2),
        "first_steps": num_steps,
    }


def meet_every_width(step: "Step") -> tuple[float, int]:
    """Take steps until each width of the law has come; return their seconds and their number."""
    start, seen, count = time.perf_counter(), set[tuple[int, ...]](), 0
    while len(seen) < len(WIDTHS):
        step()
        seen |= {tuple(widths.values()) for widths in step.model.last_widths}
        count += 1
    return time.perf_counter() - start, count


class Step:
    """One training step; two of equal arguments draw the same widths."""

    def __init__(self, network: str, law: str, seed: int) -> None:
        name, settings, shape, batch = NETWORKS[network]
        generator = torch.Generator().manual_seed(seed)
        net = build_model(name, generator=generator, **settings)
        self._x = torch.rand(batch, *shape, generator=generator)
        self._labels = torch.randint(10, (batch,), generator=generator)
        widths = torch.Generator().manual_seed(seed)
        self.model = ww.Elastic(net, (self._x[:2],), law=LAWS[law], generator=widths).train()
        self._optimizer = torch.optim.SGD(self.model.parameters(), lr=LEARNING_RATE)

    def __call__(self) -> None:
        self._optimizer.zero_grad()
        nn.functional.cross_entropy(self.model(self._x), self._labels).backward()
        self._optimizer.step()


if __name__ == "__main__":
    main()
