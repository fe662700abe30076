"""A training under way, in memory: the model, its optimiser and schedule, the data, and where each of them stands."""

import math
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from textwrap import shorten
from typing import cast, final

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from widthwise._shared import RecipeError, RunError, TrainingError, generator_state, make_generator, restore_generator
from widthwise.elastic import Elastic
from widthwise.training.batch import Batch
from widthwise.training.checkpoint import Checkpoint
from widthwise.training.divergence import describe_widths, kept_on_error
from widthwise.training.network import Splits, build_elastic, build_task
from widthwise.training.optimiser import make_optimiser, make_schedule
from widthwise.training.patience import Patience
from widthwise.training.precision import Precision
from widthwise.training.recipe import Recipe
from widthwise.training.stream import Stream
from widthwise.training.task import Task

__all__ = ["Batch", "Session"]


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Session:
    """What changes while a recipe is trained. It knows nothing of files."""

    recipe: Recipe
    task: Task
    model: Elastic
    optimiser: Optimizer
    schedule: LRScheduler
    precision: Precision
    patience: Patience

    @classmethod
    def start(cls, recipe: Recipe, splits: Splits) -> "Session":
        """Return the training of `recipe` on `splits` before its first step.

        Raises:
            RecipeError: Where data and network do not fit together, or there is no such device.
        """
        model = build_elastic(recipe).to(_find_device(recipe))
        if recipe.training.channels_last:
            model.net.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        if recipe.training.compile:
            model.compile()
        task = build_task(recipe, splits, model.net)
        optimiser = make_optimiser(_trained(model, recipe), recipe.training)
        if recipe.training.rate_by_use or recipe.training.decay_by_use:
            model.unit_rates(optimiser, power=recipe.training.rate_by_use, decay=recipe.training.decay_by_use)
        num_steps = recipe.training.epochs * math.ceil(task.num_batches / recipe.training.accumulate)
        schedule = make_schedule(optimiser, recipe.training, num_steps)
        precision = Precision(recipe.training.precision, recipe.training.device)
        patience = Patience(recipe.training.patience, higher_is_better=task.score().higher_is_better)
        return cls(
            recipe=recipe,
            task=task,
            model=model,
            optimiser=optimiser,
            schedule=schedule,
            precision=precision,
            patience=patience,
        )

    @property
    def steps_per_epoch(self) -> int:
        """Number of batches in an epoch."""
        return self.task.num_batches

    @property
    def learning_rate(self) -> float:
        """The learning rate of the next step."""
        return float(self.schedule.get_last_lr()[0])

    def batches(self, finished_epochs: int) -> Iterator[Batch]:
        """Yield the batches of the epochs after the finished ones, in the order of the task, while patience lasts."""
        for epoch in range(finished_epochs + 1, self.recipe.training.epochs + 1):
            if self.patience.is_over(epoch - 1):
                return
            generator = make_generator(self.recipe.training.seed, Stream.ORDER, epoch)
            parts = self.task.order(generator)
            for step, indices in enumerate(parts, start=1):
                yield Batch(indices=indices, epoch=epoch, step=step, is_last=step == len(parts))

    def step(self, batch: Batch) -> float:
        """Return the loss on the batch, after one step of the optimiser on it and those accumulated before it.

        Raises:
            TrainingError: Where the loss or a gradient is not finite; all is then as before the step.
        """
        with kept_on_error(self.model):
            return self._step(batch)

    def _step(self, batch: Batch) -> float:
        net = _trained(self.model, self.recipe).train()
        with _seeded(self.recipe.training.seed, batch, self.recipe.training.device), self.precision.autocast():
            loss = self.task.loss(net, batch)
        value = float(loss.detach())
        if not torch.isfinite(loss.detach()):
            raise self._diverged(batch, f"a finite loss, got {value}")
        place = (batch.step - 1) % self.recipe.training.accumulate
        if place == 0:
            self.optimiser.zero_grad(set_to_none=True)
        left = self.task.num_batches - (batch.step - 1 - place)
        size = min(self.recipe.training.accumulate, left)
        self.precision.backward(loss / size)
        if place == size - 1:
            self._take_step(batch, net, value)
        return value

    def _take_step(self, batch: Batch, net: nn.Module, loss: float) -> None:
        try:
            has_stepped = self.precision.step(self.optimiser, net, self.recipe.training.grad_clip)
        except FloatingPointError as norm:
            raise self._diverged(batch, f"finite gradients, got some of norm {norm} at loss {loss:.4g}") from None
        if has_stepped:
            self.schedule.step()

    def _diverged(self, batch: Batch, what: str) -> TrainingError:
        net = _trained(self.model, self.recipe)
        with _seeded(self.recipe.training.seed, batch, self.recipe.training.device), self.precision.autocast():
            widths = describe_widths(net, *self.task.last_call(net, batch))
        return TrainingError(
            f"expected {what} at epoch {batch.epoch}, step {batch.step}{widths} (learning rate "
            f"{self.learning_rate:.3g}); lower training.learning_rate or set training.grad_clip"
        )

    def validate(self) -> dict[str, float]:
        """Return score and loss on the validation split: at full width, and at the lowest where widths are trained.

        A network with BatchNorm is recalibrated for the lowest width; its own statistics belong to the full one, where
        the law draws that.
        """
        if self.recipe.training.method != "structural":
            return self.task.validate(self.model)
        law = self.recipe.elastic.make_law()
        narrow = self._validate_at(law.lowest, is_calibrated=self.model.has_statistics)
        scores = self._validate_at(1.0, is_calibrated=self.model.has_statistics and not law.runs_full)
        return scores | {f"{name}_lowest": value for name, value in narrow.items()}

    def _validate_at(self, width: float, *, is_calibrated: bool) -> dict[str, float]:
        if is_calibrated:
            return self.task.validate(self.model.extract(width, calibrate=self.task.calibration_batches()))
        with self.model.at(width):
            return self.task.validate(self.model)

    def judge(self, epoch: int, scores: Mapping[str, float]) -> None:
        """Remember the weights where patience is limited and no epoch before this one was better."""
        own = {name: value for name, value in scores.items() if name.startswith(self.task.score_name)}
        self.patience.see(epoch, own, self.model.state_dict(), self.model.elastic_state())

    def settle(self) -> int | None:
        """Return the best epoch, whose weights are then those of the model; None, and nothing, without patience."""
        best = self.patience.best
        if best is None:
            return None
        self.model.load_state_dict(dict(best.weights))
        self.model.load_elastic_state(best.elastic)
        return best.epoch

    def capture(self) -> Checkpoint:
        """Return all that `restore` needs to go on from here."""
        state: dict[str, object] = {
            "optimiser": self.optimiser.state_dict(),
            "schedule": {key: value for key, value in self.schedule.state_dict().items() if not callable(value)},
            "widths": generator_state(self.model.generator),
            "elastic": self.model.elastic_state(),
            "precision": self.precision.state(),
            "best": self.patience.state(),
        }
        return Checkpoint(weights=self.model.state_dict(), state=state)

    def restore(self, checkpoint: Checkpoint) -> None:
        """Put everything back to where `capture` found it.

        Raises:
            RunError: Where the checkpoint is of another training.
        """
        state = checkpoint.state
        try:
            self.model.load_state_dict(dict(checkpoint.weights))
            self.model.load_elastic_state(cast("dict[str, Tensor]", state["elastic"]))
            self.optimiser.load_state_dict(cast("dict[str, object]", state["optimiser"]))
            self.schedule.load_state_dict(cast("dict[str, object]", state["schedule"]))
            self.precision.load_state(cast("dict[str, object]", state.get("precision", {})))
            self.patience.load_state(cast("dict[str, object]", state.get("best", {})))
            widths = cast("Tensor", state["widths"])
        except (KeyError, RuntimeError, ValueError) as cause:
            reason = shorten(str(cause), 200, placeholder=" ...")
            raise RunError(
                f"checkpoint: expected the state of a training of recipe {self.recipe.name}, got another ({reason}); "
                "train again with --overwrite"
            ) from cause
        restore_generator(self.model.generator, widths)


def _trained(model: Elastic, recipe: Recipe) -> nn.Module:
    """Return what the loss is taken of: the elastic model, or for method "plain" the network in it."""
    return model if recipe.training.method == "structural" else model.net


@contextmanager
def _seeded(seed: int, batch: Batch, device: str) -> Generator[None]:
    """Seed the global generators for one step, for layers such as nn.Dropout; put them back then."""
    on_gpu = device == "cuda"
    with torch.random.fork_rng(devices=[torch.cuda.current_device()] if on_gpu else []):
        number = make_generator(seed, Stream.DROPOUT, batch.epoch, batch.step).initial_seed()
        torch.default_generator.manual_seed(number)
        if on_gpu:
            torch.cuda.manual_seed(number)
        yield


def _find_device(recipe: Recipe) -> torch.device:
    if recipe.training.device == "cuda" and not torch.cuda.is_available():
        raise RecipeError(
            f"recipe {recipe.name}: expected a GPU for training.device = 'cuda', got none that torch can use; set "
            "training.device=cpu"
        )
    return torch.device(recipe.training.device)
