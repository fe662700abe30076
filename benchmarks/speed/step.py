"""Wall time of a training step of an elastic model against the plain step, on networks of three kinds.

    python -m benchmarks.speed.step                  all cells; continues where it was stopped
    python -m benchmarks.speed.step --device cuda    the same question on a GPU, with its peak memory, into another file
    python -m benchmarks.speed.step --smoke          a few steps of the smallest network, into runs/

Both networks are trained in one process, in turns. Each cell has a process of its own, because the number of threads of
the operators is settled when torch is loaded. A step is: gradients cleared, forward, loss, backward, optimiser. The
widths are those of `NUM_DRAWS` draws that stand for all of the law; the times are means over them.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import cast

import torch
from torch import nn

import widthwise as ww
from benchmarks.record import ROOT, Record
from benchmarks.speed.networks import GPU_NETWORKS, NETWORKS, Network
from benchmarks.speed.pair import LEARNING_RATE, NUM_BATCHES, NUM_DRAWS, RUNS_PER_TURN, WARMUP, measure_pair

__all__ = ["DEVICES", "Device", "fill", "main", "measure_in_child"]

LAWS = ("log_uniform", "octaves")
OPTIMIZERS = ("adam", "fused_adam")
# Its own method is there once the elastic model has one; that of every module would compile nothing of a step.
MODES = ("eager", "compiled") if ww.Elastic.compile is not nn.Module.compile else ("eager",)
SMOKE = ROOT / "runs/benchmarks"
Key = Mapping[str, object]


@dataclass(frozen=True, kw_only=True, slots=True)
class Device:
    """What is measured on one kind of device.

    Attributes:
        results: The result file.
        networks: By name.
        rounds: How often each network is run at every draw: enough for a steady median, few enough for half a minute.
        threads: The numbers of threads.
        modes: Whether the steps are compiled.
    """

    results: Path
    networks: Mapping[str, Network]
    rounds: Mapping[str, int]
    threads: tuple[int, ...] = (1,)
    modes: tuple[str, ...] = ("eager",)

    def keys(self, seeds: tuple[int, ...]) -> list[dict[str, object]]:
        """Return the cells, those of the first seed first."""
        names = ("seed", "network", "law", "optimizer", "mode", "threads")
        found = product(seeds, self.rounds, LAWS, OPTIMIZERS, self.modes, self.threads)
        return [dict(zip(names, values, strict=True)) for values in found]


DEVICES: Mapping[str, Device] = {
    "cpu": Device(
        results=ROOT / "benchmarks/speed/results/step.json",
        networks=NETWORKS,
        rounds={"mlp_256": 10, "mlp_1024": 4, "vit": 2, "resnet": 3},
        threads=(1, 2),
    ),
    "cuda": Device(
        results=ROOT / "benchmarks/speed/results/step_gpu.json",
        networks=GPU_NETWORKS,
        rounds={"mlp_4096": 6, "vit_s": 3, "resnet_18": 3},
        modes=MODES,
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description="Time a training step of an elastic model against the plain one.")
    parser.add_argument("--smoke", action="store_true", help="a few steps of the smallest network, into runs/")
    parser.add_argument("--device", choices=DEVICES, default="cpu", help="where it is trained")
    parser.add_argument("--cell", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.cell:
        print(json.dumps(measure_here(**json.loads(arguments.cell))))
    elif arguments.device == "cuda" and not torch.cuda.is_available():
        print("speed/step on a GPU: left out, torch finds none here")
    else:
        fill(arguments.device, smoke=arguments.smoke)


def fill(name: str, *, smoke: bool = False) -> None:
    """Measure the cells of a device that its file does not have yet."""
    device = DEVICES[name]
    path = device.results
    if smoke:
        path = SMOKE / path.name
        device = Device(results=path, networks=device.networks, rounds={next(iter(device.rounds)): 1})
    seeds = (0,) if smoke else (0, 1, 2)
    record = Record.open(
        path,
        benchmark=f"speed/{path.stem}",
        tier="screen" if smoke else "confirm",
        seeds=seeds,
        settings={
            "networks": {network: device.networks[network].words for network in device.rounds},
            "rounds": device.rounds,
            "draws": NUM_DRAWS,
            "learning_rate": LEARNING_RATE,
            "runs_per_turn": RUNS_PER_TURN,
            "warmup": WARMUP,
            "batches": NUM_BATCHES,
        },
        threads=device.threads,
    )

    def measure(key: Key) -> dict[str, object]:
        return measure_in_child({**key, "rounds": device.rounds[cast("str", key["network"])], "device": name})

    record.fill(device.keys(seeds), measure, describe=describe)


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


def measure_here(
    network: str, law: str, optimizer: str, mode: str, threads: int, seed: int, rounds: int, device: str
) -> dict[str, object]:
    """Return the times of both steps in this process, their split, and their ratios."""
    torch.set_num_threads(threads)
    result = measure_pair(
        DEVICES[device].networks[network],
        law,
        device=device,
        is_fused=optimizer == "fused_adam",
        is_compiled=mode == "compiled",
        seed=seed,
        rounds=rounds,
    )
    return {**result, "threads": {"torch": torch.get_num_threads(), "openmp": os.environ.get("OMP_NUM_THREADS")}}


if __name__ == "__main__":
    main()
