"""What wrapping costs: `Elastic` at full width in evaluation mode against the bare network that it holds.

    python -m benchmarks.speed.wrapped            all cells; continues where it was stopped
    python -m benchmarks.speed.wrapped --smoke    a few passes of the smallest network, into runs/

Both are the same network, called in one process, in turns, under `torch.inference_mode`. What comes on top is the call
of one module more, whatever the network computes; so the smallest network on one sample shows it best. The network in
an `nn.Sequential` of its own, which does nothing but that, takes its turn beside them.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import torch
from torch import nn

import widthwise as ww
from benchmarks.record import ROOT, Record
from benchmarks.speed.clock import find_paired_ratio, summarize, take_turns
from benchmarks.speed.networks import NETWORKS, Network

__all__ = ["RESULTS", "fill", "main", "measure"]

RESULTS = ROOT / "benchmarks/speed/results/wrapped.json"
SMOKE = ROOT / "runs/benchmarks/wrapped.json"
# Turns and passes per turn of either, by network and batch: so many that a ratio is steady to a few thousandths.
PASSES: Mapping[str, Mapping[int, tuple[int, int]]] = {
    "mlp_256": {1: (400, 20), 256: (200, 4)},
    "mlp_1024": {256: (100, 2)},
    "resnet": {1: (300, 10), 64: (60, 2)},
    "vit": {1: (200, 5), 64: (30, 2)},
}
WARMUP = 20


def main() -> None:
    parser = argparse.ArgumentParser(description="Time wrapped networks against bare ones.")
    parser.add_argument("--smoke", action="store_true", help="a few passes of the smallest network, into runs/")
    arguments = parser.parse_args()
    fill(SMOKE, smoke=True) if arguments.smoke else fill(RESULTS)


def fill(path: Path, *, smoke: bool = False) -> None:
    """Measure the cells that the file does not have yet."""
    passes = {"mlp_256": {1: (2, 5)}} if smoke else PASSES
    seeds = (0,) if smoke else (0, 1, 2)
    torch.set_num_threads(1)
    record = Record.open(
        path,
        benchmark="speed/wrapped",
        tier="screen" if smoke else "confirm",
        seeds=seeds,
        settings={
            "networks": {name: NETWORKS[name].words for name in passes},
            "turns_and_runs_per_turn": passes,
            "warmup": WARMUP,
        },
        threads=(1,),
    )
    keys = [
        {"network": name, "batch": batch, "seed": seed} for seed in seeds for name in passes for batch in passes[name]
    ]

    def measure_key(key: Mapping[str, object]) -> dict[str, object]:
        name, batch, seed = cast("tuple[str, int, int]", (key["network"], key["batch"], key["seed"]))
        turns, runs = passes[name][batch]
        return measure(NETWORKS[name], batch, seed, turns=turns, runs=runs)

    record.fill(keys, measure_key, describe=describe)


def describe(result: Mapping[str, object]) -> str:
    return f"wall {result['wall_ratio']:.4f} of bare, in nn.Sequential {result['sequential_wall_ratio']:.4f}"


def measure(network: Network, batch: int, seed: int, *, turns: int, runs: int) -> dict[str, object]:
    """Return the latencies of the bare network, the wrapped one and the one in a Sequential, and their ratios."""
    generator = torch.Generator().manual_seed(seed)
    bare = network.build(generator).eval()
    wrapped = ww.Elastic(bare, (network.draw_inputs(2, generator),)).eval()
    sequential = nn.Sequential(bare).eval()
    x = network.draw_inputs(batch, generator)
    works = {"wrapped": lambda: wrapped(x), "bare": lambda: bare(x), "sequential": lambda: sequential(x)}
    with torch.inference_mode():
        times = take_turns(works, turns=turns, runs=runs, warmup=WARMUP)

    def compare(name: str) -> tuple[float, float]:
        other, base = times[name], times["bare"]
        wall = find_paired_ratio(other.wall_ns, base.wall_ns, runs)
        return wall, find_paired_ratio(other.cpu_ns, base.cpu_ns, runs)

    (wall, cpu), (sequential_wall, sequential_cpu) = compare("wrapped"), compare("sequential")
    return {
        **{name: {"wall": summarize(t.wall_ns), "cpu": summarize(t.cpu_ns)} for name, t in times.items()},
        "wall_ratio": wall,
        "cpu_ratio": cpu,
        "sequential_wall_ratio": sequential_wall,
        "sequential_cpu_ratio": sequential_cpu,
    }


if __name__ == "__main__":
    main()
