"""Every law beside every other: one training each, at equal epochs and at equal MACs, its own widths and to 1/32.

Screen: one seed, the default learning rate of ours for all but the paper, which has its own; each network that is
trained alone at a width has the best of several, by the validation split. The plain training has E epochs. "equal
epochs" trains a law for E epochs, "equal MACs" for as many as cost what the plain one does. Ranges: "published" is the
law as it stands, "to 1/32" the same from 1/32 on. The score is that of the test split at six widths, and the mean of
the curve from 1/32 to 1.

Confirm: three seeds of ours, of the paper, and of the best other one of the screen, at equal MACs from 1/32 on; and on
tasks that are trained in minutes, of the plain network cut at each width, and of networks trained alone for as many
epochs as ours.

    python -m benchmarks.elastic.peers --data DIR --task mnist       # resumable; about an hour on one core
    python -m benchmarks.elastic.peers --data DIR --task mnist --tier confirm
    python -m benchmarks.elastic.peers --data DIR --task mnist --rows "us_nets*" --to FILE
"""

import argparse
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Literal, cast

import torch
from torch import Tensor, nn

from benchmarks.elastic.laws import ALONE, BUDGETS, DEFAULT, FULL_ROWS, LONGER, PLAIN, PUBLISHED, ROWS
from benchmarks.elastic.peers_table import losses_by_row
from benchmarks.elastic.tasks import FRACTIONS, TASKS, PeerTask
from benchmarks.record import ROOT, Record, Tier
from widthwise import Elastic, WidthWarning
from widthwise._shared import RunError
from widthwise.training import Recipe, Run, build_task, load_recipe, parse_recipe, train
from widthwise.training.network import build_elastic
from widthwise.training.recipe import ElasticSection

__all__ = ["find_epochs", "list_keys", "main", "make_recipe", "result_path"]

RESULTS = Path(__file__).parent / "results"
RUNS = ROOT / "runs" / "benchmarks" / "peers"
CONFIRM_SEEDS = (0, 1, 2)
BASE = ElasticSection(law="log_uniform")


def result_path(task: str, tier: Tier = "screen") -> Path:
    """Return the result file of a task."""
    return RESULTS / f"peers_{task}{'_confirm' if tier == 'confirm' else ''}.json"


def make_recipe(task: PeerTask, changes: Sequence[str], *, epochs: int, seed: int, rate: float) -> Recipe:
    """Return the recipe of a task with changes, which are made to "log_uniform" and not to the recipe's own law."""
    own = [f"training.epochs={epochs}", f"training.seed={seed}", f"training.learning_rate={rate}"]
    recipe = load_recipe(task.recipe, [*task.changes, *own]).model_copy(update={"elastic": BASE})
    return parse_recipe(recipe.to_toml(), what=f"recipe {task.recipe}", overrides=changes)


def find_epochs(task: PeerTask, changes: Sequence[str], budget: str) -> int:
    """Return how many epochs a law is trained for; at least one."""
    recipe = make_recipe(task, changes, epochs=1, seed=0, rate=1.0)
    if budget == "equal epochs" or recipe.training.method == "plain":
        return task.epochs
    model = build_elastic(recipe)
    return max(1, int(task.epochs * model.macs() / model.training_macs()))


def list_keys(
    seeds: Sequence[int], rows: Sequence[str], rates: Sequence[float], *, tier: Tier = "screen"
) -> list[dict[str, object]]:
    """Return the cells, those trained alone first; the changes of the recipe are part of what they are."""
    keys: list[dict[str, object]] = [
        {"row": row, "width": width, "seed": seed, "changes": [f"model.width={width}", "training.method=plain"]}
        | {"rates": list(rates)}
        for row in (ALONE, LONGER)
        if row == ALONE or row in rows
        for seed in seeds
        for width in FRACTIONS
    ]
    laws: list[dict[str, object]] = [
        {"row": row, "range": each, "budget": budget, "seed": seed, "changes": list(changes)}
        for budget in (BUDGETS if tier == "screen" else BUDGETS[:1])
        for seed in seeds
        for row in rows
        if row != LONGER
        for each, changes in ROWS[row].items()
        if tier == "screen" or each == "to 1/32"
    ]
    return [*keys, *laws]


def measure(task: PeerTask, data: Path, runs: Path, key: Mapping[str, object]) -> dict[str, object]:
    """Train one cell and score it."""
    changes, seed = cast("list[str]", key["changes"]), cast("int", key["seed"])
    words = (str(part) for name, part in key.items() if name not in ("changes", "rates"))
    place = runs / "/".join(word.replace(" ", "-").replace("/", "_") for word in words)
    if key["row"] in (ALONE, LONGER):
        return measure_alone(task, data, place, key)
    epochs = find_epochs(task, changes, str(key["budget"]))
    recipe = make_recipe(task, changes, epochs=epochs, seed=seed, rate=task.rate)
    return score_run(task, train(recipe, place, data_folder=data, progress=False))


def measure_alone(task: PeerTask, data: Path | None, place: Path, key: Mapping[str, object]) -> dict[str, object]:
    """Train the network of one width at each rate and return the score of the one that does best on validation."""
    changes, seed, rates = (
        cast("list[str]", key["changes"]),
        cast("int", key["seed"]),
        cast("list[float]", key["rates"]),
    )
    epochs = task.epochs
    if key["row"] == LONGER:
        epochs = find_epochs(task, ROWS[DEFAULT]["to 1/32"], "equal MACs")
    validation: dict[str, float] = {}
    scores: dict[str, float] = {}
    seconds = 0.0
    for rate in rates:
        recipe = make_recipe(task, changes, epochs=epochs, seed=seed, rate=rate)
        run = train(recipe, place / f"{rate:g}", data_folder=data, progress=False)
        model = run.load_model()
        validation[f"{rate:g}"] = _make_score(task, run, model, "validation")(model.net.eval())
        scores[f"{rate:g}"] = _make_score(task, run, model)(model.net.eval())
        seconds += run.state.training_seconds
    best = (min if task.measure == "perplexity" else max)(validation, key=validation.__getitem__)
    score = {str(key["width"]): scores[best]}
    return {"score": score, "rate": best, "validation": validation, "epochs": epochs, "seconds": seconds}


def score_run(task: PeerTask, run: Run) -> dict[str, object]:
    """Return the score on the test split at each fraction, the mean of the curve, and by how much it turns back."""
    model = run.load_model()
    score = _make_score(task, run, model)
    batches = build_task(run.recipe, run.load_data(), model.net).calibration_batches()
    known: dict[tuple[int, ...], float] = {}

    def at(fraction: float) -> float:
        widths = tuple(model.widths(fraction).values())
        if widths not in known:
            known[widths] = _score_at(model, fraction, score, batches)
        return known[widths]

    scores = {str(fraction): at(fraction) for fraction in FRACTIONS}
    full = max(model.groups.sizes.values()) if task.num_curve is None else task.num_curve
    curve = [at(units / full) for units in range(max(1, full // 32), full + 1)]
    cost = cast("float", run.state.training_cost_epochs) / task.epochs
    return {
        "score": scores,
        "mean_of_all": sum(curve) / len(curve),
        "largest_fall": max(max(0.0, _lost(task, before, after)) for before, after in pairwise(curve)),
        "training_macs": cost + _recalibrations(task, run, model),
        "epochs": run.state.epochs,
        "seconds": run.state.training_seconds,
    }


def choose_rows(task: str, patterns: Sequence[str], tier: Tier) -> list[str]:
    """Return the rows of a tier that fit one of the patterns, as in a shell.

    Raises:
        RunError: The screen, which says who the best peer is, was not run.
    """
    is_quick = TASKS[task].num_curve is None
    rows = list(ROWS) if is_quick else list(FULL_ROWS)
    if tier == "confirm":
        path = result_path(task)
        if not path.exists():
            raise RunError(f"expected the screen in {path}, which tells the best peer, got none; run it first")
        lost = losses_by_row(Record.read(path))
        rows = [
            DEFAULT,
            "paper",
            min((row for row in PUBLISHED if row != "paper"), key=lambda row: lost.get(row, math.inf)),
            *([LONGER, PLAIN] if is_quick else []),
        ]
    return [row for row in rows if any(fnmatchcase(row, pattern) for pattern in patterns)]


def main() -> None:
    """Run what is missing of the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with the data sets")
    parser.add_argument("--task", choices=tuple(TASKS), required=True)
    parser.add_argument("--tier", choices=("screen", "confirm"), default="screen")
    parser.add_argument("--rows", action="append", help="only rows that fit this pattern, as in a shell")
    parser.add_argument("--runs", type=Path, default=RUNS, help="where runs are kept")
    parser.add_argument("--to", type=Path, help="the result file")
    options = parser.parse_args()
    torch.set_num_threads(1)
    task, tier = TASKS[options.task], cast("Tier", options.tier)
    seeds = CONFIRM_SEEDS if tier == "confirm" else (0,)
    record = Record.open(
        options.to or result_path(options.task, tier),
        benchmark=f"peers_{options.task}",
        tier=tier,
        seeds=seeds,
        settings={
            "task": options.task,
            "recipe": task.recipe,
            "changes": list(task.changes),
            "measure": task.measure,
            "widths": list(FRACTIONS),
            "epochs": task.epochs,
            "rates": {"alone": list(task.alone_rates), "elastic": task.rate},
        },
    )
    patterns = options.rows or ["*"]
    keys = list_keys(seeds, choose_rows(options.task, patterns, tier), task.alone_rates, tier=tier)
    is_wanted = any(fnmatchcase(ALONE, pattern) for pattern in patterns)
    record.fill(
        [key for key in keys if is_wanted or key["row"] != ALONE],
        partial(measure, task, options.data, options.runs / options.task),
        describe=_describe,
    )


def _make_score(
    task: PeerTask, run: Run, model: Elastic, split: Literal["validation", "test"] = "test"
) -> Callable[[nn.Module], float]:
    """Return the score of a network on a split, in percent, or as a perplexity."""
    score = build_task(run.recipe, run.load_data(), model.net).score(split)
    if task.measure == "perplexity":
        return lambda net: math.exp(score(net))
    return lambda net: 100 * score(net)


def _score_at(
    model: Elastic,
    fraction: float,
    score: Callable[[nn.Module], float],
    batches: list[Tensor] | list[tuple[Tensor, ...]],
) -> float:
    with warnings.catch_warnings():
        # A published law is scored below its own range too.
        warnings.simplefilter("ignore", WidthWarning)
        if model.has_statistics and (fraction < 1 or not model.law.runs_full):
            return score(model.extract(fraction, calibrate=batches))
        with model.at(fraction):
            return score(model)


def _recalibrations(task: PeerTask, run: Run, model: Elastic) -> float:
    """Return the cost of measuring statistics anew at every fraction, in units of the plain training."""
    if not model.has_statistics:
        return 0.0
    trained = 3 * task.epochs * len(cast("Sequence[object]", run.load_data().train))
    return 2048 * sum(model.macs(fraction) for fraction in FRACTIONS[1:]) / (model.macs() * trained)


def _lost(task: PeerTask, before: float, after: float) -> float:
    """Return how much worse the second is: points of accuracy, or percent of perplexity."""
    return 100 * (after / before - 1) if task.measure == "perplexity" else before - after


def _describe(result: Mapping[str, object]) -> str:
    score = cast("Mapping[str, float]", result["score"])
    words = " ".join(f"{value:.2f}" for value in score.values())
    return f"{words}, MACs {result['training_macs']:.2f}" if "training_macs" in result else words


if __name__ == "__main__":
    main()
