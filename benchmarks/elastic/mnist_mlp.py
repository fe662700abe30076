"""One elastic training against networks trained one by one: MNIST, MLP 784-256-256-10, six widths, three seeds.

Rows: networks trained alone at each width for E = 8 epochs, and for as many epochs as ours; ours (the recipe mnist-mlp,
18 epochs, which cost as many MACs as 8 plain ones); ours with a gain and bias per octave and a refitted head; the plain
network cut; the publication's setting for the same epochs. The learning rate of each kind is chosen beforehand on the
validation split, from the same list, with a seed that is not reported; the publication's is its own.

Cells are kept by row, seed and width, so a second start runs what is missing; where a rate was added or another one is
chosen, the cells that were trained with the same rate stay.

    python -m benchmarks.elastic.mnist_mlp --data DIR            # resumable; about 40 minutes on one core
    python -m benchmarks.elastic.mnist_mlp --data DIR --smoke    # one epoch on a few hundred pictures, all into runs/
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import torch

from benchmarks.record import ROOT, Cell, Record
from widthwise import Elastic
from widthwise._shared import RunError
from widthwise.training import Recipe, Run, load_recipe, train
from widthwise.training.accuracy import make_score

RESULTS = Path(__file__).parent / "results"
RUNS = ROOT / "runs" / "benchmarks" / "mnist_mlp"
WIDTHS = (256, 128, 64, 32, 16, 8)
SEEDS = (0, 1, 2)
TUNING_SEED = 99
RATES = (1e-3, 2e-3, 3e-3, 5e-3, 8e-3, 1.2e-2, 2e-2)
ALONE_EPOCHS = 8
# The recipe and what is changed of it, by row; a row that trains one network per width has "alone" in its name.
ROWS = ("alone", "alone, as many epochs as ours", "ours", "ours, output affine and refit", "plain, then cut", "paper")
KINDS = ("alone", "ours")


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What is trained, and where its data, runs and results are; the full width stands first."""

    data: Path
    runs: Path
    results: Path = RESULTS
    widths: Sequence[int] = WIDTHS
    seeds: Sequence[int] = SEEDS
    rates: Sequence[float] = RATES
    is_smoke: bool = False

    def settings(self) -> dict[str, object]:
        """Return what all cells have in common."""
        return {
            "data": "mnist: 50,000 train, 10,000 validation, 10,000 test",
            "model": "784-w-w-10, ReLU (paper: LeakyReLU)",
            "widths": list(self.widths),
            "alone_epochs": ALONE_EPOCHS,
            "rates": list(self.rates),
            "batch_size": 128,
            "optimizer": "adam, one cycle",
        }

    def train(self, recipe: Recipe, name: str) -> Run:
        """Return the finished run of a recipe; one that was interrupted goes on where it stopped."""
        return train(recipe, self.runs / name, data_folder=self.data, smoke=self.is_smoke, progress=False)


def make_recipe(row: str, *, rate: float, seed: int, width: int = 256) -> Recipe:
    """Return the recipe of a row."""
    if row == "paper":
        return load_recipe("mnist-mlp-paper", ["training.epochs=18", f"training.seed={seed}"])
    changes = [f"training.learning_rate={rate}", f"training.seed={seed}"]
    if row == "ours, output affine and refit":
        changes.append("elastic.unit_affine=true")
    if "alone" in row or "plain" in row:
        changes += ["training.method=plain", f"model.settings.sizes=[784, {width}, {width}, 10]"]
        if row != "alone, as many epochs as ours":
            changes.append(f"training.epochs={ALONE_EPOCHS}")
    return load_recipe("mnist-mlp", changes)


def score_widths(run: Run, row: str, widths: Sequence[int], *, split: str = "test") -> dict[str, float]:
    """Return the accuracy in percent at each width; the network of a single width is scored as it is."""
    splits = run.load_data()
    score = make_score(getattr(splits, split))
    model = run.load_model()
    model.eval()
    if "alone" in row:
        return {str(run.recipe.model.settings["sizes"][1]): 100 * score(model.net)}  # type: ignore[index]
    refit = [tuple(part) for part in zip(*(tensor.split(1000) for tensor in splits.train.tensors), strict=True)]
    return {str(width): 100 * score(extract(model, width, refit if "refit" in row else None)) for width in widths}


def extract(model: Elastic, width: int, refit: list[tuple[torch.Tensor, ...]] | None) -> torch.nn.Module:
    """Return the network at a number of units."""
    return model.extract(dict.fromkeys(model.groups.sizes, width), refit=refit)


def tune(plan: Plan) -> dict[str, float]:
    """Return the learning rate of each kind of training, by mean validation accuracy over the widths.

    Raises:
        RunError: Where the best rate is the first or the last of the list, and a better one may lie beyond it.
    """
    path = plan.results / "mnist_mlp_tuning.json"
    carry_over(path, {"rates": list(plan.rates)}, lambda _: True)
    record = Record.open(
        path, benchmark="mnist_mlp_tuning", tier="screen", seeds=(TUNING_SEED,), settings=plan.settings()
    )

    def measure(key: Mapping[str, object]) -> dict[str, object]:
        row, rate = str(key["row"]), cast("float", key["rate"])
        found: dict[str, float] = {}
        for width in plan.widths if row == "alone" else (plan.widths[0],):
            recipe = make_recipe(row, rate=rate, seed=TUNING_SEED, width=width)
            run = plan.train(recipe, f"tuning/{row}-{rate}-{width}")
            found |= score_widths(run, row, plan.widths, split="validation")
        return {"accuracy": found, "mean": sum(found.values()) / len(found)}

    keys = [{"row": row, "rate": rate} for row in KINDS for rate in plan.rates]
    record.fill(keys, measure, describe=lambda result: f"{result['mean']:.2f} %")
    means = {(cell.key["row"], cell.key["rate"]): cast("float", cell.result["mean"]) for cell in record.cells}
    best = {row: max(plan.rates, key=lambda rate: means[row, rate]) for row in KINDS}
    if not plan.is_smoke:
        check_rates(best, plan.rates)
    return best


def check_rates(best: Mapping[str, float], rates: Sequence[float]) -> None:
    """Refuse a best rate at an end of the list.

    Raises:
        RunError: There is one.
    """
    for row, rate in best.items():
        if rate in (min(rates), max(rates)):
            raise RunError(
                f"expected the best learning rate of '{row}' between {min(rates):g} and {max(rates):g}, got {rate:g}, "
                "an end of the list; put more into RATES and start again"
            )


def carry_over(path: Path, rates: Mapping[str, object], is_valid: Callable[[Cell], bool]) -> None:
    """Give the result file of another list of rates the one of now, with its valid cells, so that these stay."""
    if not path.exists():
        return
    there = Record.read(path)
    settings = {**there.settings, **rates}
    if settings != there.settings:
        cells = [cell for cell in there.cells if is_valid(cell)]
        replace(there, settings=settings, cells=cells).write()


def confirm(plan: Plan, rates: Mapping[str, float]) -> None:
    """Train and score what is missing of the rows, at the rates chosen."""
    path = plan.results / "mnist_mlp.json"
    chosen = {"rates": list(plan.rates), "chosen_rates": dict(rates)}
    if path.exists():
        before = cast("Mapping[str, float]", Record.read(path).settings["chosen_rates"])
        # Those of the publication have no rate that is chosen: None on both sides.
        carry_over(path, chosen, lambda cell: before.get(kind := find_kind(cell.key)) == rates.get(kind))
    tier = "screen" if plan.is_smoke else "confirm"
    record = Record.open(path, benchmark="mnist_mlp", tier=tier, seeds=plan.seeds, settings=plan.settings() | chosen)

    def measure(key: Mapping[str, object]) -> dict[str, object]:
        row, seed, width = str(key["row"]), cast("int", key["seed"]), cast("int", key.get("width", plan.widths[0]))
        rate = rates.get(find_kind(key), 0.0)
        source = ("alone" if row == "plain, then cut" else row).replace(",", "").replace(" ", "-")
        run = plan.train(make_recipe(row, rate=rate, seed=seed, width=width), f"{source}-{rate:g}/{seed}-{width}")
        cost = cast("float", run.state.training_cost_epochs) / ALONE_EPOCHS
        accuracy = score_widths(run, row, plan.widths)
        return {"accuracy": accuracy, "training_macs": cost, "seconds": run.state.training_seconds}

    keys: list[dict[str, object]] = []
    for seed in plan.seeds:
        for row in ROWS:
            common: dict[str, object] = {"row": row, "seed": seed}
            keys += [{**common, "width": width} for width in plan.widths] if "alone" in row else [common]
    record.fill(keys, measure, describe=_describe)


def find_kind(key: Mapping[str, object]) -> str:
    """Return whose learning rate the row of a cell is trained with: one of KINDS, or "paper", which has its own."""
    row = str(key["row"])
    if row == "paper":
        return row
    return "ours" if row.startswith("ours") else "alone"


def main() -> None:
    """Run what is missing of the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with the MNIST files")
    parser.add_argument("--runs", type=Path, default=RUNS, help="where runs are kept")
    parser.add_argument("--smoke", action="store_true", help="one epoch on a few hundred pictures, all into runs/")
    options = parser.parse_args()
    torch.set_num_threads(1)
    plan = Plan(data=options.data, runs=options.runs)
    if options.smoke:
        folder = options.runs / "smoke"
        plan = Plan(
            data=options.data, runs=folder, results=folder, widths=(256, 8), seeds=(0,), rates=(3e-3,), is_smoke=True
        )
    confirm(plan, tune(plan))


def _describe(result: Mapping[str, object]) -> str:
    accuracy = cast("Mapping[str, float]", result["accuracy"])
    return " ".join(f"{width}: {value:.2f}" for width, value in accuracy.items())


if __name__ == "__main__":
    main()
