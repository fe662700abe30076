"""The training loop: from a recipe to a finished run directory, in one go or in several.

All that is random in an epoch comes from generators made of the recipe's seed and the epoch, except for the widths,
whose generator goes on from epoch to epoch and is part of the checkpoint. So a resumed training is bit-equal to one
that never stopped.
"""

import time
from pathlib import Path

from widthwise._shared import RecipeError, RunError, TrainingError, track
from widthwise.curves.table import is_share
from widthwise.training.events import check_events
from widthwise.training.network import load_splits
from widthwise.training.recipe import Recipe
from widthwise.training.run import Record, Run, RunState
from widthwise.training.session import Session

__all__ = ["train"]

# Each draws one width from every stratum: enough for a cost in two digits.
_NUM_DRAWS = 64


def train(
    recipe: Recipe,
    out: str | Path,
    *,
    data_folder: str | Path | None = None,
    smoke: bool = False,
    overwrite: bool = False,
    progress: bool | None = None,
) -> Run:
    """Return the finished run of `recipe` in the folder `out`: trained anew, continued, or as it is.

    A finished run whose weights are missing or damaged gets them back from its last checkpoint.

    Args:
        recipe: What to train.
        out: The run directory, made if missing.
        data_folder: Where the files of the data are; None for the usual places.
        smoke: One epoch on a few hundred samples, to test the pipes.
        overwrite: Train anew, whatever run stands in `out`.
        progress: True draws a bar, False none, None one where somebody looks.

    Raises:
        MissingExtraError: Where the recipe asks for TensorBoard and it is not installed.
        RecipeError: Where `out` holds a run of another recipe.
        RunError: Where `out` holds something else, a damaged run, or cannot be written.
        TrainingError: Where the loss is not finite; the last checkpoint is kept.
        KeyboardInterrupt: Where the user interrupts; the run then continues with the next call.
    """
    recipe = recipe.smoke() if smoke else recipe
    if recipe.training.tensorboard:
        check_events()
    folder = Path(out)
    run = None if overwrite and Run.exists(folder) else _find_run(folder, recipe)
    if run is not None and run.state.status == "finished":
        with run.record(recipe):
            return run if run.find_damage() is None else run.restore_weights()
    source = Path(data_folder).resolve() if data_folder is not None else None
    if run is None or not run.state.finished_epochs:
        # A run without a finished epoch may be one that was being replaced: nothing in it is worth more than a new one.
        remembered = run.state.data_folder if run is not None else None
        source = source or (Path(remembered) if remembered else None)
        session = Session.start(recipe, load_splits(recipe, source))
        run = Run.create(folder, recipe, _first_state(session, source))
    else:
        session = Session.start(recipe, run.load_data(source))
        session.restore(run.read_checkpoint())
    return _train_on(run, session, progress)


def _find_run(folder: Path, recipe: Recipe) -> Run | None:
    """Return the run of this recipe in the folder, None where there is nothing."""
    if not Run.exists(folder):
        if not Run.is_free(folder):
            raise RunError(
                f"expected a run directory or a new folder, got {folder} with other files in it; give another --out"
            )
        return None
    run = Run.open(folder)
    if not run.recipe.is_same_work(recipe):
        raise RecipeError(
            f"expected a run of this recipe in {folder}, got one with another {_first_difference(run.recipe, recipe)}; "
            "give another --out, or --overwrite to train anew"
        )
    return run


def _first_difference(there: Recipe, here: Recipe) -> str:
    theirs = there.work()
    for section, settings in here.work().items():
        for key, value in settings.items():
            if value != theirs[section][key]:
                return f"{section}.{key} ({theirs[section][key]!r} there, {value!r} here)"
    return "recipe"


def _first_state(session: Session, source: Path | None) -> RunState:
    recipe, model = session.recipe, session.model
    is_structural = recipe.training.method == "structural"
    lowest = recipe.elastic.make_law().lowest if is_structural else 1.0
    return RunState(
        status="running",
        finished_epochs=0,
        epochs=recipe.training.epochs,
        widths_trained={"lowest": model.widths(lowest), "full": model.widths(1.0)},
        training_cost_epochs=_measure_cost(session, recipe.training.epochs),
        training_seconds=0.0,
        data_folder=None if source is None else str(source),
        checkpoint_sha256=None,
        weights_sha256={},
    )


def _measure_cost(session: Session, num_epochs: int) -> float:
    """Return the MACs of so many epochs in units of those of one epoch of a plain training."""
    if session.recipe.training.method == "plain":
        return float(num_epochs)
    return num_epochs * session.model.training_macs(num_draws=_NUM_DRAWS) / session.model.macs()


def _train_on(run: Run, session: Session, progress: bool | None) -> Run:
    """Return the run, finished; where something stops it, its state says so and the last checkpoint stays."""
    run = run.advance(status="running")
    try:
        with run.record(session.recipe) as record:
            return _train_epochs(run, session, progress, record)
    except KeyboardInterrupt:
        Run.open(run.path).advance(status="interrupted")
        raise
    except TrainingError as cause:
        kept = Run.open(run.path).advance(status="failed").state.finished_epochs
        what = f"the checkpoint of epoch {kept} is kept in {run.path}" if kept else "no epoch was finished"
        raise TrainingError(f"{cause}; {what}") from cause


def _train_epochs(run: Run, session: Session, progress: bool | None, record: Record) -> Run:
    num_epochs, done = run.state.epochs, run.state.finished_epochs
    total = (num_epochs - done) * session.steps_per_epoch
    bar = track(session.batches(done), f"training {run.recipe.name}", total=total, show=progress)
    losses: list[float] = []
    began = time.perf_counter()
    for batch in bar:
        losses.append(session.step(batch))
        if not batch.is_last:
            continue
        scores = session.validate()
        session.judge(batch.epoch, scores)
        seconds = time.perf_counter() - began
        metrics = {
            "epoch": batch.epoch,
            "loss": sum(losses) / len(losses),
            **scores,
            "learning_rate": session.learning_rate,
            "seconds": seconds,
        }
        run = run.keep(session.capture(), metrics, epoch=batch.epoch, seconds=seconds)
        record(metrics)
        bar.note(_describe(batch.epoch, num_epochs, scores))
        losses.clear()
        began = time.perf_counter()
    if run.state.finished_epochs < num_epochs:
        run = run.advance(training_cost_epochs=_measure_cost(session, run.state.finished_epochs))
    return run.finish(session.model, best_epoch=session.settle())


def _describe(epoch: int, num_epochs: int, scores: dict[str, float]) -> str:
    """Return the numbers of full width, then those of the narrowest; a loss beside an accuracy is named."""
    widths = {"full": [name for name in scores if not name.endswith("_lowest")]}
    widths["narrowest"] = [name for name in scores if name.endswith("_lowest")]
    words = [
        f"{width} " + " loss ".join(_format(name, scores[name]) for name in names)
        for width, names in widths.items()
        if names
    ]
    return f"epoch {epoch}/{num_epochs}: {', '.join(words)}"


def _format(name: str, value: float) -> str:
    return f"{value:.1%}" if is_share(name, [value]) else f"{value:.3f}"
