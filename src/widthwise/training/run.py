"""A run directory: one training on disk, as it was told, how far it is, and what came out.

`run.json` is written last at every step, by renaming, and says what else is valid; whatever stands beside it beyond
that is ignored.
"""

import json
import shutil
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from textwrap import shorten
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor

from widthwise._shared import (
    RecipeError,
    RunError,
    WidthError,
    describe_environment,
    read_json,
    replace_file,
    write_json,
    write_text,
)
from widthwise.elastic import Elastic
from widthwise.training.checkpoint import (
    Checkpoint,
    drop_checkpoints,
    load_checkpoint,
    read_weights,
    save_checkpoint,
    write_weights,
)
from widthwise.training.checksum import compute_checksum, describe_damage
from widthwise.training.events import open_events
from widthwise.training.network import Splits, build_elastic, load_splits
from widthwise.training.recipe import Recipe, parse_recipe

__all__ = ["Record", "Run", "RunState", "Status"]

Record = Callable[[Mapping[str, object]], None]
"""Takes the metrics of a finished epoch."""
Status = Literal["running", "interrupted", "failed", "finished"]

_SCHEMA = 1
_RUN, _RECIPE, _METRICS, _ENVIRONMENT = "run.json", "recipe.toml", "metrics.jsonl", "environment.json"
_WEIGHTS, _ELASTIC, _CHECKPOINTS = "model.safetensors", "elastic.safetensors", "checkpoint"
_EVENTS = "tensorboard"
_CURVES = _CURVE, _PLOT, _REPORT, _SEARCH = "curve.json", "curve.png", "report.html", "search.json"


class RunState(BaseModel):
    """How far a run is.

    `status` is "running" also after a crash; `widths_trained` holds the narrowest and the widest units per group;
    `training_cost_epochs` is the MACs of the whole training in units of those of one epoch of a plain training;
    `data_folder` is where the files of the data were, None for the usual places. `checkpoint_sha256` is what
    `save_checkpoint` returned for the last finished epoch, `weights_sha256` the checksum of each file of weights of
    a finished run, by its name. `best_epoch` is the epoch that these weights are of in a training with patience, which
    may have finished fewer than `epochs`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    status: Status
    finished_epochs: Annotated[int, Field(ge=0)]
    epochs: Annotated[int, Field(ge=1)]
    widths_trained: dict[str, dict[str, int]]
    training_cost_epochs: float | None
    training_seconds: float
    data_folder: str | None
    checkpoint_sha256: str | None
    weights_sha256: dict[str, str]
    best_epoch: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """A run directory, opened: its recipe and how far it is. A change returns the run as it is then."""

    path: Path
    recipe: Recipe
    state: RunState

    @classmethod
    def open(cls, path: str | Path) -> "Run":
        """Return the run in `path`.

        Raises:
            RunError: Where there is none, it is damaged, or it is of another schema.
        """
        folder = Path(path)
        if not cls.exists(folder):
            raise RunError(
                f"expected a run directory {folder} with a {_RUN}, got none; "
                f"make one: widthwise train RECIPE --out {folder}"
            )
        content = read_json(folder / _RUN, schema=_SCHEMA, what="run", remedy=_REMEDY)
        content.pop("schema")
        try:
            state = RunState.model_validate(content)
        except ValidationError as cause:
            first = cause.errors(include_url=False)[0]
            key = ".".join(str(part) for part in first["loc"])
            raise RunError(
                f"expected {folder / _RUN} as it was written, got damaged content at '{key}'; {_REMEDY}"
            ) from cause
        return cls(path=folder, recipe=_read_recipe(folder / _RECIPE), state=state)

    @staticmethod
    def exists(path: str | Path) -> bool:
        """Return whether `path` holds a run, be it damaged."""
        return (Path(path) / _RUN).is_file()

    @staticmethod
    def is_free(path: str | Path) -> bool:
        """Return whether a run can be made in `path`: nothing there but what a `create` that was killed may leave."""
        folder = Path(path)
        names = {entry.name for entry in folder.iterdir()} if folder.is_dir() else set[str]()
        whole = {name for name in names if not (name.startswith(".") and ".partial." in name)}
        # A recipe without an environment is not from us: that is written first.
        return whole in (set(), {_ENVIRONMENT}, {_ENVIRONMENT, _RECIPE})

    @classmethod
    def create(cls, path: str | Path, recipe: Recipe, state: RunState) -> "Run":
        """Return a new run in `path`, replacing the one there, of which only files of a run are removed.

        Killed halfway it leaves a run without a finished epoch, or a folder that `is_free`.

        Raises:
            RunError: Where the folder cannot be written.
        """
        run = cls(path=Path(path), recipe=recipe, state=state)
        try:
            run.path.mkdir(parents=True, exist_ok=True)
        except OSError as cause:
            reason = cause.strerror or cause
            raise RunError(
                f"expected to be able to write to the folder {run.path}, got: {reason}; give another --out"
            ) from cause
        if cls.exists(run.path):
            # From here on the folder says that nothing is trained, whatever else still stands in it.
            run._write_state()
        write_json(run.path / _ENVIRONMENT, {"schema": _SCHEMA, **describe_environment()})
        write_text(run.path / _RECIPE, recipe.to_toml())
        for name in (_METRICS, _WEIGHTS, _ELASTIC, *_CURVES):
            (run.path / name).unlink(missing_ok=True)
        for name in (_CHECKPOINTS, _EVENTS):
            shutil.rmtree(run.path / name, ignore_errors=True)
        run._write_state()
        return run

    def advance(self, **changes: object) -> "Run":
        """Return the run with fields of its state changed, and recorded on disk."""
        changed = replace(self, state=RunState.model_validate({**self.state.model_dump(), **changes}))
        changed._write_state()
        return changed

    def keep(self, checkpoint: Checkpoint, metrics: Mapping[str, object], *, epoch: int, seconds: float) -> "Run":
        """Return the run with one more finished epoch: checkpoint and line of metrics on disk, then recorded."""
        lines = [*self.read_metrics(), dict(metrics)]
        write_text(self.path / _METRICS, "".join(json.dumps(line) + "\n" for line in lines))
        checksum = save_checkpoint(self.path / _CHECKPOINTS, epoch, checkpoint)
        changed = self.advance(
            finished_epochs=epoch,
            training_seconds=self.state.training_seconds + seconds,
            checkpoint_sha256=checksum,
        )
        drop_checkpoints(self.path / _CHECKPOINTS, keep=epoch)
        return changed

    @contextmanager
    def record(self, recipe: Recipe) -> Generator[Record]:
        """Give what each finished epoch is told to for those who watch: to TensorBoard, where the recipe asks for it.

        The epochs so far are there too from the start, written anew from the metrics.
        """
        if not recipe.training.tensorboard:
            yield lambda _: None
            return
        lines, metrics = self.read_metrics(), self.path / _METRICS
        ended = metrics.stat().st_mtime if lines else 0.0
        with open_events(self.path / _EVENTS, lines, until=ended) as add:
            yield add

    def read_checkpoint(self) -> Checkpoint:
        """Return the checkpoint of the last finished epoch.

        Raises:
            RunError: Where it is missing or damaged.
        """
        folder, state = self.path / _CHECKPOINTS, self.state
        return load_checkpoint(folder, state.finished_epochs, sha256=state.checkpoint_sha256)

    def read_metrics(self) -> list[dict[str, object]]:
        """Return the metrics of each finished epoch, in order.

        Raises:
            RunError: Where the file is damaged.
        """
        path = self.path / _METRICS
        if self.state.finished_epochs == 0 or not path.exists():
            return []
        try:
            lines: list[dict[str, object]] = [
                json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()
            ]
            return [line for line in lines if int(str(line["epoch"])) <= self.state.finished_epochs]
        except (OSError, ValueError, KeyError, TypeError) as cause:
            raise RunError(
                f"expected one JSON object per line in {path}, got damaged content ({cause}); {_REMEDY}"
            ) from cause

    def finish(self, model: Elastic, *, best_epoch: int | None = None) -> "Run":
        """Return the run as finished, the weights of `model` on disk, any other tensors beside them.

        Args:
            model: With the weights to keep.
            best_epoch: The epoch they are of, where that need not be the last one.
        """
        return self._finish(model.state_dict(), model.elastic_state(), best_epoch=best_epoch)

    def find_damage(self) -> str | None:
        """Return what is wrong with the weights of a finished run, None where they are as they were written."""
        recorded = self.state.weights_sha256
        found = (describe_damage(self.path / name, recorded.get(name)) for name in {_WEIGHTS: "", **recorded})
        return next((damage for damage in found if damage is not None), None)

    def restore_weights(self) -> "Run":
        """Return the finished run with its weights written anew, from the checkpoint of its last epoch.

        Raises:
            RunError: Where the checkpoint is missing or damaged too.
        """
        try:
            checkpoint = self.read_checkpoint()
        except RunError as cause:
            raise RunError(f"{self.find_damage()}, and no whole checkpoint to take it from; {_REMEDY}") from cause
        return self._finish(*checkpoint.read_kept(), best_epoch=self.state.best_epoch)

    def load_model(self) -> Elastic:
        """Return the trained elastic model, in eval mode.

        Raises:
            RunError: Where the run is not finished, or its weights are missing or damaged.
        """
        if self.state.status != "finished":
            raise RunError(
                f"expected a finished run in {self.path}, got one that is {self.state.status} after epoch "
                f"{self.state.finished_epochs} of {self.state.epochs}; "
                "continue it with the same `widthwise train` command"
            )
        damage = self.find_damage()
        if damage is not None:
            raise RunError(
                f"{damage}; the same `widthwise train` command restores it from the checkpoint, "
                "or with --overwrite trains again"
            )
        model = build_elastic(self.recipe)
        weights = read_weights(self.path / _WEIGHTS)
        extra = read_weights(self.path / _ELASTIC) if model.elastic_state() else {}
        try:
            model.load_state_dict(weights)
            model.load_elastic_state(extra)
        except (RuntimeError, WidthError) as cause:
            reason = shorten(str(cause), 200, placeholder=" ...")
            raise RunError(
                f"expected the weights of recipe {self.recipe.name} in {self.path}, got others ({reason}); {_REMEDY}"
            ) from cause
        return model.eval()

    def load_data(self, folder: Path | None = None) -> Splits:
        """Return the data of the run, from `folder` or from where it was at training.

        Raises:
            DataError: Where the files are missing or damaged.
        """
        remembered = self.state.data_folder
        return load_splits(self.recipe, folder or (Path(remembered) if remembered else None))

    @property
    def curve_path(self) -> Path:
        """Where the curve of the run is kept."""
        return self.path / _CURVE

    @property
    def search_path(self) -> Path:
        """Where the networks that a search found are kept, as a curve."""
        return self.path / _SEARCH

    @property
    def plot_path(self) -> Path:
        """Where the picture of the curve is kept."""
        return self.path / _PLOT

    @property
    def report_path(self) -> Path:
        """Where the report is kept."""
        return self.path / _REPORT

    @property
    def exports_path(self) -> Path:
        """The folder of exported networks."""
        return self.path / "exports"

    def _write_state(self) -> None:
        write_json(self.path / _RUN, {"schema": _SCHEMA, **self.state.model_dump()})

    def _finish(self, weights: Mapping[str, Tensor], elastic: Mapping[str, Tensor], *, best_epoch: int | None) -> "Run":
        self._write_tensors(_WEIGHTS, weights)
        self._write_tensors(_ELASTIC, elastic)
        names = [_WEIGHTS, *([_ELASTIC] if elastic else [])]
        return self.advance(
            status="finished",
            best_epoch=best_epoch,
            weights_sha256={name: compute_checksum(self.path / name) for name in names},
        )

    def _write_tensors(self, name: str, tensors: Mapping[str, Tensor]) -> None:
        if tensors:
            with replace_file(self.path / name) as temporary:
                write_weights(temporary, tensors)


_REMEDY = "restore the file, or train again with --overwrite"


def _read_recipe(path: Path) -> Recipe:
    try:
        return parse_recipe(path.read_text(encoding="utf-8"), what=str(path))
    except (OSError, UnicodeDecodeError, RecipeError) as cause:
        raise RunError(
            f"expected the recipe of the run in {path}, got a missing or damaged file ({cause}); {_REMEDY}"
        ) from cause
