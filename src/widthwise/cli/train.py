"""`widthwise train`: one training run into a run directory."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import typer

from widthwise.cli.failure import report_note
from widthwise.cli.options import AsJson, DataFolder
from widthwise.cli.output import format_score, say, say_json
from widthwise.cli.points import describe_widths
from widthwise.training import Recipe, Run, load_recipe, score_name
from widthwise.training import train as train_run

__all__ = ["EXAMPLE", "train"]

EXAMPLE = "widthwise train mnist-mlp --data ../data --out runs/mnist --set epochs=3"

_MOST_NAMED = 4

RecipeName = Annotated[str, typer.Argument(metavar="RECIPE", help="A name of `widthwise recipes`, or a TOML file.")]
Out = Annotated[
    Path | None, typer.Option("--out", metavar="RUN", help="The run directory; runs/RECIPE where not given.")
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override a key of the recipe: training.epochs=3, or epochs=3."),
]
Method = Annotated[
    Literal["structural", "plain"] | None,
    typer.Option("--method", help="structural draws widths; plain trains the bare network at full width."),
]
Smoke = Annotated[bool, typer.Option("--smoke", help="One epoch on a few hundred samples, to test the pipes.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Train anew where RUN holds a run already.")]


def train(
    recipe: RecipeName,
    out: Out = None,
    overrides: Overrides = None,
    data: DataFolder = None,
    method: Method = None,
    smoke: Smoke = False,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Train a recipe into a run directory; the same command continues an interrupted run."""
    wanted = [*(overrides or []), *([] if method is None else [f"training.method={method}"])]
    told = load_recipe(recipe, wanted)
    folder = out or Path("runs") / told.name
    before = Run.open(folder) if Run.exists(folder) and not overwrite else None
    if before is not None and before.state.status != "finished" and before.state.finished_epochs:
        report_note(f"continuing {folder} after epoch {before.state.finished_epochs} of {before.state.epochs}")
    is_finished = before is not None and before.state.status == "finished"
    damage = before.find_damage() if before is not None and is_finished else None
    run = _train(told, folder, data=data, smoke=smoke, overwrite=overwrite)
    if damage is not None:
        report_note(f"{damage}; restored from the checkpoint of epoch {run.state.finished_epochs}")
    elif is_finished:
        report_note(f"{folder} is finished already and stays as it is; --overwrite trains it anew")
    if as_json:
        say_json({"run": str(folder), **run.state.model_dump(), "metrics": run.read_metrics()})
    else:
        _summarize(run)


def _train(recipe: Recipe, folder: Path, *, data: Path | None, smoke: bool, overwrite: bool) -> Run:
    try:
        return train_run(recipe, folder, data_folder=data, smoke=smoke, overwrite=overwrite)
    except KeyboardInterrupt:
        if not Run.exists(folder):
            raise
        state = Run.open(folder).state
        raise KeyboardInterrupt(
            f"interrupted after epoch {state.finished_epochs} of {state.epochs}; the same command continues"
        ) from None


def _summarize(run: Run) -> None:
    state = run.state
    say(f"{run.recipe.name}: {state.finished_epochs} epochs in {state.training_seconds:.0f} s")
    if not (metrics := run.read_metrics()):
        return
    if state.best_epoch is not None:
        say(f"kept the weights of epoch {state.best_epoch}, the best of {state.finished_epochs}")
    last = metrics[-1 if state.best_epoch is None else state.best_epoch - 1]
    name = score_name(run.recipe)
    say(f"validation {name.replace('_', ' ')} at full width: {format_score(float(str(last[name])), name)}")
    if f"{name}_lowest" in last:
        lowest = format_score(float(str(last[f"{name}_lowest"])), name)
        units = _describe_narrowest(state.widths_trained)
        say(f"at the narrowest width ({units}): {lowest}")
    if state.training_cost_epochs is not None and run.recipe.training.method == "structural":
        say(f"training cost as many MACs as {state.training_cost_epochs:.2g} epochs of plain training")
    say(f"next: widthwise curve {run.path}")


def _describe_narrowest(trained: Mapping[str, Mapping[str, int]]) -> str:
    """Return the units of the groups that shrink, the first of them where there are many."""
    shrinking = {name: kept for name, kept in trained["lowest"].items() if kept < trained["full"][name]}
    named = dict(list(shrinking.items())[:_MOST_NAMED])
    rest = f" and {len(shrinking) - len(named)} more" if len(shrinking) > len(named) else ""
    return describe_widths(named) + rest
