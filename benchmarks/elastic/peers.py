"""Every law beside every other: one training each, at equal epochs and at equal MACs, its own widths and to 1/32.

Screen: one seed, the default learning rate of ours for all but the paper, which has its own; the networks that are
trained alone at each width have theirs. The plain training has E epochs. "equal epochs" trains a law for E epochs,
"equal MACs" for as many as cost what the plain one does. Ranges: "published" is the law as it stands, "to 1/32" the
same from 1/32 on. The score is test accuracy at six widths, and the mean of the curve over all widths from 1/32.

    python -m benchmarks.elastic.peers --data DIR --task mnist       # resumable; about forty minutes on one core
    python -m benchmarks.elastic.peers --data DIR --task mnist --rows "us_nets*" --to FILE
"""

import argparse
import warnings
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import cast

import torch
from torch import nn

from benchmarks.record import ROOT, Record
from widthwise import Elastic, WidthWarning
from widthwise.training import Recipe, Run, load_recipe, train
from widthwise.training.accuracy import make_score
from widthwise.training.network import build_elastic

__all__ = ["FRACTIONS", "RANGES", "ROWS", "Row", "main"]

RESULTS = Path(__file__).parent / "results"
RUNS = ROOT / "runs" / "benchmarks" / "peers"
TASKS: Mapping[str, str] = {"mnist": "mnist-mlp", "fashion_mnist": "fashion-mlp"}
FRACTIONS = (1.0, 0.5, 0.25, 0.125, 0.0625, 0.03125)
EPOCHS = 8
RATES: Mapping[str, float] = {"alone": 1.2e-2, "elastic": 5e-3}
BUDGETS = ("equal epochs", "equal MACs")
RANGES = ("published", "to 1/32")
# What of a recipe is changed, by row and range of widths; ours has one range, and "mrl" cuts only what the head reads.
Row = Mapping[str, Sequence[str]]
_AFFINE = ("elastic.unit_affine=true",)
ROWS: Mapping[str, Row] = {
    "log_uniform": {"to 1/32": ()},
    "log_uniform, affine": {"to 1/32": _AFFINE},
    "log_uniform, weight, affine": {"to 1/32": ("elastic.weight=0.3", *_AFFINE)},
    "octaves": {"to 1/32": ("elastic.law=octaves",)},
    "octaves, no affine": {"to 1/32": ("elastic.law=octaves", "elastic.unit_affine=false")},
    "octaves alone": {"to 1/32": ("elastic.law=octaves", "elastic.between=0")},
    "causal channels": {"to 1/32": ("elastic.causal=true", "elastic.sandwich=6", "elastic.widths=6")},
    "uniform": {"to 1/32": ("elastic.law=uniform",)},
    "paper": {
        "published": ("elastic.law=paper",),
        "to 1/32": ("elastic.law=paper", "elastic.lowest=0.03125"),
    },
    "triangular": {
        "published": ("elastic.law=triangular",),
        "to 1/32": ("elastic.law=triangular", "elastic.lowest=0.03125", "elastic.widths=32"),
    },
    "fjord": {
        "published": ("elastic.law=fjord",),
        "to 1/32": ("elastic.law=fjord", f"elastic.widths={sorted(FRACTIONS)}"),
    },
    "us_nets": {
        "published": ("elastic.law=us_nets",),
        "to 1/32": ("elastic.law=us_nets", "elastic.lowest=0.03125"),
    },
    "matformer": {
        "published": ("elastic.law=matformer",),
        "to 1/32": ("elastic.law=matformer", f"elastic.widths={sorted(FRACTIONS)}"),
    },
    "mrl": {
        "published": ("elastic.law=mrl",),
        "to 1/32": ("elastic.law=mrl", "elastic.lowest=0.03125", "elastic.widths=6", "elastic.sandwich=6"),
    },
}
# The publication's own optimiser; the others train as ours does.
_PAPER = ("training.learning_rate=8e-4", "training.schedule=constant")


def make_recipe(task: str, changes: Sequence[str], *, epochs: int, seed: int, rate: float) -> Recipe:
    """Return the recipe of a task with changes."""
    own = [f"training.epochs={epochs}", f"training.seed={seed}", f"training.learning_rate={rate}"]
    return load_recipe(TASKS[task], [*own, *changes])


def find_epochs(task: str, changes: Sequence[str], budget: str) -> int:
    """Return how many epochs a law is trained for; at least one."""
    if budget == "equal epochs":
        return EPOCHS
    model = build_elastic(make_recipe(task, changes, epochs=1, seed=0, rate=1.0))
    return max(1, int(EPOCHS * model.macs() / model.training_macs()))


def score_run(run: Run) -> dict[str, object]:
    """Return the test accuracy in percent at each fraction, the mean over all widths, and where the curve falls."""
    score = make_score(run.load_data().test)
    model = run.load_model()
    model.eval()
    full = max(model.groups.sizes.values())
    curve = [100 * _score_at(model, units / full, score) for units in range(full // 32, full + 1)]
    falls = [max(0.0, before - after) for before, after in pairwise(curve)]
    return {
        "accuracy": {str(f): 100 * _score_at(model, f, score) for f in FRACTIONS},
        "mean_of_all": sum(curve) / len(curve),
        "largest_fall": max(falls),
        "training_macs": cast("float", run.state.training_cost_epochs) / EPOCHS,
        "epochs": run.state.epochs,
        "seconds": run.state.training_seconds,
    }


def measure(task: str, data: Path, runs: Path, key: Mapping[str, object]) -> dict[str, object]:
    """Train one cell and score it."""
    row, seed = str(key["row"]), cast("int", key["seed"])
    if row == "alone":
        width = round(256 * cast("float", key["width"]))
        changes = ["training.method=plain", f"model.settings.sizes=[784, {width}, {width}, 10]"]
        recipe = make_recipe(task, changes, epochs=EPOCHS, seed=seed, rate=RATES["alone"])
        run = train(recipe, runs / f"{task}/alone/{width}-{seed}", data_folder=data, progress=False)
        model = run.load_model()
        accuracy = 100 * make_score(run.load_data().test)(model.net.eval())
        return {"accuracy": {str(key["width"]): accuracy}, "seconds": run.state.training_seconds}
    changes = [*ROWS[row][str(key["range"])], *(_PAPER if row == "paper" else ())]
    epochs = find_epochs(task, changes, str(key["budget"]))
    recipe = make_recipe(task, changes, epochs=epochs, seed=seed, rate=RATES["elastic"])
    place = "/".join(str(part).replace(" ", "-").replace("/", "_") for part in key.values())
    return score_run(train(recipe, runs / task / place, data_folder=data, progress=False))


def list_keys(seeds: Sequence[int], patterns: Sequence[str]) -> list[dict[str, object]]:
    """Return the cells, those trained alone first."""
    keys: list[dict[str, object]] = [
        {"row": "alone", "width": width, "seed": seed} for seed in seeds for width in FRACTIONS
    ]
    laws: list[dict[str, object]] = [
        {"row": row, "range": each, "budget": budget, "seed": seed}
        for seed in seeds
        for row, ranges in ROWS.items()
        for each in ranges
        for budget in reversed(BUDGETS)
    ]
    return [key for key in [*keys, *laws] if any(fnmatchcase(str(key["row"]), pattern) for pattern in patterns)]


def main() -> None:
    """Run what is missing of the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with the data sets")
    parser.add_argument("--task", choices=tuple(TASKS), required=True)
    parser.add_argument("--rows", action="append", help="only rows that fit this pattern, as in a shell")
    parser.add_argument("--runs", type=Path, default=RUNS, help="where runs are kept")
    parser.add_argument("--to", type=Path, help="the result file")
    options = parser.parse_args()
    torch.set_num_threads(1)
    record = Record.open(
        options.to or RESULTS / f"peers_{options.task}.json",
        benchmark=f"peers_{options.task}",
        tier="screen",
        seeds=(0,),
        settings={
            "task": options.task,
            "model": "784-256-256-10",
            "widths": list(FRACTIONS),
            "epochs": EPOCHS,
            "rates": dict(RATES),
            "changes": {row: {name: list(each) for name, each in ranges.items()} for row, ranges in ROWS.items()},
        },
    )
    record.fill(
        list_keys((0,), options.rows or ["*"]),
        partial(measure, options.task, options.data, options.runs),
        describe=_describe,
    )


def _score_at(model: Elastic, fraction: float, score: Callable[[nn.Module], float]) -> float:
    with warnings.catch_warnings():
        # A published law is scored below its own range too.
        warnings.simplefilter("ignore", WidthWarning)
        with model.at(fraction):
            return score(model)


def _describe(result: Mapping[str, object]) -> str:
    accuracy = cast("Mapping[str, float]", result["accuracy"])
    words = " ".join(f"{value:.2f}" for value in accuracy.values())
    return f"{words}, MACs {result['training_macs']:.2f}" if "training_macs" in result else words


if __name__ == "__main__":
    main()
