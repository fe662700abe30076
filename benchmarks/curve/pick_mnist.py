"""The choice by evidence on a trained MLP: MNIST, 256 units in each hidden layer, one of 256 widths to pick.

    python -m benchmarks.curve.pick_mnist --data DIR            all cells; continues where it was stopped
    python -m benchmarks.curve.pick_mnist --data DIR --smoke    a few repeats, into runs/

The recipe mnist-mlp is trained once, into runs/, and each of the 20,000 samples of the validation and the test split is
run at each width once; choices are then made on these answers. `resampled`: the 20,000 are the population, so that true
drops are known, and each repeat draws 10,000 of them anew. `reordered`: the validation split in another random order.
"""

import argparse
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from benchmarks.curve.choosers import Choice, Stored, choose_by_t_tests, choose_by_walk, choose_stored
from benchmarks.curve.coverage import CONFIDENCE, ladder_units
from benchmarks.curve.numbers import join_columns
from benchmarks.curve.synthetic import LIMIT, UNITS
from benchmarks.record import ROOT, Record
from widthwise._shared import WidthWarning, make_generator
from widthwise.curves.proof.promise import Promise
from widthwise.training import Run, build_task, load_recipe, train

__all__ = ["RESULTS", "main", "measure"]

RESULTS = ROOT / "benchmarks/curve/results/pick_mnist.json"
SMOKE = ROOT / "runs/benchmarks/pick_mnist.json"
RUN = ROOT / "runs/mnist-mlp"
NUM_REPEATS, NUM_SAMPLES, SEED = 200, 10_000, 0
KINDS = ("resampled", "reordered")


def main() -> None:
    parser = argparse.ArgumentParser(description="Pick a width of a trained MLP by evidence, many times.")
    parser.add_argument("--data", type=Path, required=True, help="the folder with MNIST")
    parser.add_argument("--smoke", action="store_true", help="a few repeats, into runs/")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    num_repeats = 3 if arguments.smoke else NUM_REPEATS
    record = Record.open(
        SMOKE if arguments.smoke else RESULTS,
        benchmark="curve/pick_mnist",
        tier="screen",
        seeds=(SEED,),
        settings={
            "recipe": "mnist-mlp",
            "limit": LIMIT,
            "confidence": CONFIDENCE,
            "num_samples": NUM_SAMPLES,
            "num_repeats": num_repeats,
        },
    )
    right = read_right(arguments.data)
    record.fill([{"kind": kind} for kind in KINDS], lambda key: measure(key, right, num_repeats), describe=describe)


def describe(result: Mapping[str, object]) -> str:
    choices = cast("Mapping[str, Mapping[str, str]]", result["choices"])
    return f"picked {choices['pick']['picked'][:60]} ..., at least {result['smallest']}"


def measure(key: Mapping[str, object], right: Mapping[str, Tensor], num_repeats: int) -> dict[str, object]:
    """Return the fewest units that keep to the limit, and what each way of choosing took, for how much, each time."""
    population_WN = torch.cat([right["validation"], right["test"]], dim=1)
    true_W = (population_WN[-1].double() - population_WN.double()).mean(dim=1)
    rows: dict[str, list[tuple[int, int, int]]] = {}
    for repeat in range(num_repeats):
        generator = make_generator(SEED, KINDS.index(cast("str", key["kind"])), repeat)
        if key["kind"] == "resampled":
            sample_WN = population_WN[:, torch.randint(population_WN.shape[1], (NUM_SAMPLES,), generator=generator)]
        else:
            sample_WN = right["validation"][:, torch.randperm(NUM_SAMPLES, generator=generator)]
        for name, (picked, num_samples) in choose_all(sample_WN).items():
            rows.setdefault(name, []).append((picked, int(float(true_W[picked - 1]) > LIMIT), num_samples))
    smallest = next(unit for unit in range(1, UNITS + 1) if float(true_W[unit - 1]) <= LIMIT)
    return {
        "smallest": smallest,
        "smallest_rung": min(unit for unit in ladder_units() if float(true_W[unit - 1]) <= LIMIT),
        "drops": {str(unit): float(true_W[unit - 1]) for unit in ladder_units()},
        "choices": {name: join_columns(row) for name, row in rows.items()},
    }


def choose_all(right_WN: Tensor) -> dict[str, tuple[int, int]]:
    """Return the units that each way of choosing picks, and its forward passes of samples."""
    ladder, every = ladder_units(), list(range(UNITS, 0, -1))
    promise = Promise(max_drop=LIMIT, confidence=CONFIDENCE, bounds=(0, 1))
    ladder_WN = right_WN[[unit - 1 for unit in ladder]]
    drops_WN = right_WN[-1].double() - right_WN.flip(0).double()

    def units(choice: Choice, of: list[int]) -> tuple[int, int]:
        return of[choice.place], choice.num_samples

    return {
        "pick": units(choose_by_walk(Stored(ladder_WN), len(ladder), promise), ladder),
        "stored numbers": units(choose_stored(drops_WN, LIMIT), every),
        "t-tests": units(choose_by_t_tests(drops_WN, LIMIT, CONFIDENCE), every),
        "t-tests, corrected": units(choose_by_t_tests(drops_WN, LIMIT, 1 - (1 - CONFIDENCE) / (UNITS - 1)), every),
        "always full": (UNITS, 0),
    }


def read_right(data: Path) -> dict[str, Tensor]:
    """Return for each split whether each width is right on each sample, [W, N] from 1 unit on; measured once."""
    run = Run.open(RUN) if Run.exists(RUN) else train(load_recipe("mnist-mlp"), RUN, data_folder=data)
    path = RUN / f"right-{run.state.weights_sha256['model.safetensors'][:16]}.safetensors"
    if not path.exists():
        model = run.load_model()
        task = build_task(run.recipe, run.load_data(data), model.net)
        rows: dict[str, list[Tensor]] = {"validation": [], "test": []}
        for unit in range(1, UNITS + 1):
            with warnings.catch_warnings():
                # Below 8 units nothing was trained; these belong to the curve all the same.
                warnings.simplefilter("ignore", WidthWarning)
                net = model.extract(dict.fromkeys(model.widths(1.0), unit))
            for split, found in rows.items():
                found.append(torch.cat(list(task.score(split).samples(net))).bool())
        save_file({split: torch.stack(found) for split, found in rows.items()}, path)
    return load_file(path)


if __name__ == "__main__":
    main()
