"""One elastic training against networks trained one by one: MNIST, MLP 784-256-256-10, six widths, three seeds.

Rows: networks trained alone at each width for E = 8 epochs, and for as many epochs as ours; ours (the recipe mnist-mlp,
18 epochs, which cost as many MACs as 8 plain ones); ours with a gain and bias per octave and a refitted head; the plain
network cut; the publication's setting for the same epochs. The learning rate of each kind is chosen beforehand on the
validation split, from the same list, with a seed that is not reported; the publication's is its own.

    python -m benchmarks.elastic.mnist_mlp --data DIR            # resumable; about 40 minutes on one core
"""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import torch

from benchmarks.record import ROOT, Record
from widthwise import Elastic
from widthwise.training import Recipe, Run, load_recipe, train
from widthwise.training.accuracy import make_score

RESULTS = Path(__file__).parent / "results"
WIDTHS = (256, 128, 64, 32, 16, 8)
SEEDS = (0, 1, 2)
TUNING_SEED = 99
RATES = (1e-3, 2e-3, 3e-3, 5e-3, 8e-3)
ALONE_EPOCHS = 8
SETTINGS: Mapping[str, object] = {
    "data": "mnist: 50,000 train, 10,000 validation, 10,000 test",
    "model": "784-w-w-10, ReLU (paper: LeakyReLU)",
    "widths": list(WIDTHS),
    "alone_epochs": ALONE_EPOCHS,
    "rates": list(RATES),
    "batch_size": 128,
    "optimizer": "adam, one cycle",
}
# The recipe and what is changed of it, by row; a row that trains one network per width has "alone" in its name.
ROWS = ("alone", "alone, as many epochs as ours", "ours", "ours, output affine and refit", "plain, then cut", "paper")


def make_recipe(row: str, *, rate: float, seed: int, width: int = 256) -> Recipe:
    """Return the recipe of a row."""
    if row == "paper":
        return load_recipe("mnist-mlp-paper", ["training.epochs=18", f"training.seed={seed}"])
    changes = [f"training.learning_rate={rate}", f"training.seed={seed}"]
    if row == "ours, output affine and refit":
        changes.append("elastic.output_affine=true")
    if "alone" in row or "plain" in row:
        changes += ["training.method=plain", f"model.settings.sizes=[784, {width}, {width}, 10]"]
        if row != "alone, as many epochs as ours":
            changes.append(f"training.epochs={ALONE_EPOCHS}")
    return load_recipe("mnist-mlp", changes)


def run_recipe(recipe: Recipe, folder: Path, data: Path) -> Run:
    """Train a recipe, or go on where an interrupted training stopped."""
    return train(recipe, folder, data_folder=data, progress=False)


def score_widths(run: Run, row: str, *, split: str = "test") -> dict[str, float]:
    """Return the accuracy in percent at each width; the network of a single width is scored as it is."""
    splits = run.load_data()
    score = make_score(getattr(splits, split))
    model = run.load_model()
    model.eval()
    if "alone" in row:
        return {str(run.recipe.model.settings["sizes"][1]): 100 * score(model.net)}  # type: ignore[index]
    refit = [tuple(part) for part in zip(*(tensor.split(1000) for tensor in splits.train.tensors), strict=True)]
    return {str(width): 100 * score(extract(model, width, refit if "refit" in row else None)) for width in WIDTHS}


def extract(model: Elastic, width: int, refit: list[tuple[torch.Tensor, ...]] | None) -> torch.nn.Module:
    """Return the network at a number of units."""
    return model.extract(dict.fromkeys(model.groups.sizes, width), refit=refit)


def tune(folder: Path, data: Path) -> dict[str, float]:
    """Return the learning rate of each kind of training, by mean validation accuracy over the widths."""
    record = Record.open(
        RESULTS / "mnist_mlp_tuning.json",
        benchmark="mnist_mlp_tuning",
        tier="screen",
        seeds=(TUNING_SEED,),
        settings=SETTINGS,
    )

    def measure(key: Mapping[str, object]) -> dict[str, object]:
        row, rate = str(key["row"]), cast("float", key["rate"])
        found: dict[str, float] = {}
        for width in WIDTHS if row == "alone" else (256,):
            recipe = make_recipe(row, rate=rate, seed=TUNING_SEED, width=width)
            run = run_recipe(recipe, folder / "tuning" / f"{row}-{rate}-{width}", data)
            found |= score_widths(run, row, split="validation")
        return {"accuracy": found, "mean": sum(found.values()) / len(found)}

    keys = [{"row": row, "rate": rate} for row in ("alone", "ours") for rate in RATES]
    record.fill(keys, measure, describe=lambda result: f"{result['mean']:.2f} %")
    means = {(cell.key["row"], cell.key["rate"]): cast("float", cell.result["mean"]) for cell in record.cells}
    return {row: max(RATES, key=lambda rate: means[row, rate]) for row in ("alone", "ours")}


def main() -> None:
    """Run what is missing of the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with the MNIST files")
    parser.add_argument(
        "--runs", type=Path, default=ROOT / "runs" / "benchmarks" / "mnist_mlp", help="where runs are kept"
    )
    options = parser.parse_args()
    torch.set_num_threads(1)
    rates = tune(options.runs, options.data)
    record = Record.open(
        RESULTS / "mnist_mlp.json",
        benchmark="mnist_mlp",
        tier="confirm",
        seeds=SEEDS,
        settings={**SETTINGS, "chosen_rates": rates},
    )

    def measure(key: Mapping[str, object]) -> dict[str, object]:
        row, seed, width = str(key["row"]), cast("int", key["seed"]), cast("int", key.get("width", 256))
        rate = rates["ours" if row.startswith("ours") else "alone"]
        source = "alone" if row == "plain, then cut" else row
        recipe = make_recipe(row, rate=rate, seed=seed, width=width)
        run = run_recipe(
            recipe, options.runs / source.replace(",", "").replace(" ", "-") / f"{seed}-{width}", options.data
        )
        macs = cast("float", run.state.training_cost_epochs) / ALONE_EPOCHS
        return {"accuracy": score_widths(run, row), "training_macs": macs, "seconds": run.state.training_seconds}

    keys: list[dict[str, object]] = []
    for seed in SEEDS:
        for row in ROWS:
            alone = [{"row": row, "seed": seed, "width": width} for width in WIDTHS]
            keys += alone if "alone" in row else [{"row": row, "seed": seed}]
    record.fill(keys, measure, describe=_describe)


def _describe(result: Mapping[str, object]) -> str:
    accuracy = cast("Mapping[str, float]", result["accuracy"])
    return " ".join(f"{width}: {value:.2f}" for width, value in accuracy.items())


if __name__ == "__main__":
    main()
