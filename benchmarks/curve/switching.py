"""What it takes to run at a width: `with model.at(width): model(x)` against the network extracted at that width.

    python -m benchmarks.curve.switching            all cells; continues where it was stopped
    python -m benchmarks.curve.switching --smoke    a few runs of the smallest network, into runs/

Both hold the same numbers and run in one process, in turns, in evaluation mode under `torch.inference_mode`, on one
sample. `cost_ms` is what the first takes longer, entering the width included; "octaves" is a law whose corrections are
added at every run, trained or not. `first_ms` is the first run at a width of a model that ran at another one.
"""

import argparse
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import torch

import widthwise as ww
from benchmarks.curve.subjects import SUBJECTS
from benchmarks.record import ROOT, Record
from benchmarks.speed.clock import summarize, take_turns

__all__ = ["RESULTS", "fill", "main", "measure"]

RESULTS = ROOT / "benchmarks/curve/results/switching.json"
SMOKE = ROOT / "runs/benchmarks/switching.json"
LAWS = ("log_uniform", "octaves")
WIDTHS = (0.25, 0.5)
TURNS, RUNS, WARMUP = 100, 5, 10


def main() -> None:
    parser = argparse.ArgumentParser(description="Time runs at a width against extracted networks.")
    parser.add_argument("--smoke", action="store_true", help="a few runs of the smallest network, into runs/")
    arguments = parser.parse_args()
    fill(SMOKE, smoke=True) if arguments.smoke else fill(RESULTS)


def fill(path: Path, *, smoke: bool = False) -> None:
    """Measure the cells that the file does not have yet."""
    names, seeds, turns = (("mlp",), (0,), 3) if smoke else (tuple(SUBJECTS), (0, 1, 2), TURNS)
    settings = {
        "networks": {name: SUBJECTS[name].words for name in names},
        "turns_and_runs_per_turn": (turns, RUNS),
        "warmup": WARMUP,
    }
    torch.set_num_threads(1)
    tier = "screen" if smoke else "confirm"
    record = Record.open(path, benchmark="curve/switching", tier=tier, seeds=seeds, settings=settings, threads=(1,))
    keys = [
        {"network": name, "law": law, "width": width, "seed": seed}
        for seed in seeds
        for name in names
        for law in LAWS
        for width in WIDTHS
    ]

    def measure_key(key: Mapping[str, object]) -> dict[str, object]:
        name, law, width, seed = cast("tuple[str, str, float, int]", tuple(key.values()))
        return measure(name, law, width, seed, turns=turns)

    record.fill(keys, measure_key, describe=describe)


def describe(result: Mapping[str, object]) -> str:
    return f"{result['cost_ms']:+.3f} ms beside the extracted, {result['low_cost_ms']:+.3f} at the 10th percentile"


def measure(name: str, law: str, width: float, seed: int, *, turns: int) -> dict[str, object]:
    """Return the latencies of a run at a width, of the extracted network and of entering the width, and the cost."""
    generator = torch.Generator().manual_seed(seed)
    model = SUBJECTS[name].build(generator, law)
    x = SUBJECTS[name].draw(1, generator)
    # No score is told of untrained networks.
    with warnings.catch_warnings(action="ignore", category=ww.WidthWarning), torch.inference_mode():
        extracted = model.extract(width)

        def run() -> object:
            with model.at(width):
                return model(x)

        def enter() -> None:
            with model.at(width):
                pass

        with model.at(0.75):
            model(x)
        began = time.perf_counter_ns()
        run()
        first = time.perf_counter_ns() - began
        works = {"at": run, "extracted": lambda: extracted(x), "enter": enter}
        times = take_turns(works, turns=turns, runs=RUNS, warmup=WARMUP)
    walls = {key: summarize(each.wall_ns) for key, each in times.items()}
    return {
        **walls,
        "cost_ms": round(walls["at"]["median_ms"] - walls["extracted"]["median_ms"], 4),
        "low_cost_ms": round(walls["at"]["low_ms"] - walls["extracted"]["low_ms"], 4),
        "least_cost_ms": round((min(times["at"].wall_ns) - min(times["extracted"].wall_ns)) / 1e6, 4),
        "first_ms": round(first / 1e6, 4),
    }


if __name__ == "__main__":
    main()
