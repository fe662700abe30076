"""A training under way, in memory: the model, its optimiser and schedule, the data, and where each of them stands."""

# B batch
import math
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from textwrap import shorten
from typing import cast, final

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from widthwise._shared import RunError, TrainingError, generator_state, make_generator, restore_generator
from widthwise.elastic import Elastic
from widthwise.training.accuracy import calibration_batches, make_score
from widthwise.training.checkpoint import Checkpoint
from widthwise.training.divergence import describe_widths, kept_on_error, measure_gradients
from widthwise.training.network import Stream, build_elastic
from widthwise.training.optimiser import make_optimiser, make_schedule
from widthwise.training.recipe import Recipe
from widthwise.zoo import DataSplits

__all__ = ["Batch", "Session"]


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """Samples of one step: their places in the training split, and which step of which epoch (both from 1) it is."""

    indices: Tensor
    epoch: int
    step: int
    is_last: bool


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Session:
    """What changes while a recipe is trained. It knows nothing of files."""

    recipe: Recipe
    splits: DataSplits
    model: Elastic
    optimiser: Optimizer
    schedule: LRScheduler

    @classmethod
    def start(cls, recipe: Recipe, splits: DataSplits) -> "Session":
        """Return the training of `recipe` on `splits` before its first step."""
        model = build_elastic(recipe)
        optimiser = make_optimiser(_trained(model, recipe), recipe.training)
        num_steps = recipe.training.epochs * _num_steps(recipe, splits)
        schedule = make_schedule(optimiser, recipe.training, num_steps)
        return cls(recipe=recipe, splits=splits, model=model, optimiser=optimiser, schedule=schedule)

    @property
    def steps_per_epoch(self) -> int:
        """Number of batches in an epoch."""
        return _num_steps(self.recipe, self.splits)

    @property
    def learning_rate(self) -> float:
        """The learning rate of the next step."""
        return float(self.schedule.get_last_lr()[0])

    def batches(self, finished_epochs: int) -> Iterator[Batch]:
        """Yield the batches of all epochs after the finished ones.

        An epoch is a permutation of all training samples, cut into batches whose sizes differ by one at most: a small
        last batch would give BatchNorm, and the strata of the law, too little to stand on.
        """
        for epoch in range(finished_epochs + 1, self.recipe.training.epochs + 1):
            generator = make_generator(self.recipe.training.seed, Stream.ORDER, epoch)
            order = torch.randperm(len(self.splits.train), generator=generator)
            parts = order.tensor_split(self.steps_per_epoch)
            for step, indices in enumerate(parts, start=1):
                yield Batch(indices=indices, epoch=epoch, step=step, is_last=step == len(parts))

    def step(self, batch: Batch) -> float:
        """Return the loss on the batch, after one step of the optimiser on it.

        Raises:
            TrainingError: Where the loss or a gradient is not finite; all is then as before the step.
        """
        with kept_on_error(self.model):
            return self._step(batch)

    def _step(self, batch: Batch) -> float:
        inputs, labels = self._samples(batch)
        net = _trained(self.model, self.recipe).train()
        with _seeded(self.recipe.training.seed, batch):
            loss = _loss(net, inputs, labels)
        value = float(loss.detach())
        if not torch.isfinite(loss.detach()):
            raise self._diverged(batch, f"a finite loss, got {value}")
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        norm = float(measure_gradients(net, self.recipe.training.grad_clip))
        if not math.isfinite(norm):
            raise self._diverged(batch, f"finite gradients, got some of norm {norm} at loss {value:.4g}")
        self.optimiser.step()
        self.schedule.step()
        return value

    def _samples(self, batch: Batch) -> tuple[Tensor, Tensor]:
        inputs, labels = (tensor[batch.indices] for tensor in self.splits.train.tensors)
        return inputs, labels

    def _diverged(self, batch: Batch, what: str) -> TrainingError:
        with _seeded(self.recipe.training.seed, batch):
            widths = describe_widths(_trained(self.model, self.recipe), self._samples(batch), cross_entropy)
        return TrainingError(
            f"expected {what} at epoch {batch.epoch}, step {batch.step}{widths} (learning rate "
            f"{self.learning_rate:.3g}); lower training.learning_rate or set training.grad_clip"
        )

    def validate(self) -> dict[str, float]:
        """Return the accuracy on the validation split: at full width, and at the lowest width where widths are trained.

        A network with BatchNorm is recalibrated for the lowest width; its own statistics belong to the full one.
        """
        score = make_score(self.splits.validation)
        scores = {"accuracy": score(self.model)}
        if self.recipe.training.method == "structural":
            lowest = self.recipe.elastic.make_law().lowest
            if self.model.has_statistics:
                batches = calibration_batches(self.splits, self.recipe.training.seed)
                scores["accuracy_lowest"] = score(self.model.extract(lowest, calibrate=batches))
            else:
                with self.model.at(lowest):
                    scores["accuracy_lowest"] = score(self.model)
        return scores

    def capture(self) -> Checkpoint:
        """Return all that `restore` needs to go on from here."""
        state: dict[str, object] = {
            "optimiser": self.optimiser.state_dict(),
            "schedule": {key: value for key, value in self.schedule.state_dict().items() if not callable(value)},
            "widths": generator_state(self.model.generator),
            "elastic": self.model.elastic_state(),
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
            widths = cast("Tensor", state["widths"])
        except (KeyError, RuntimeError, ValueError) as cause:
            reason = shorten(str(cause), 200, placeholder=" ...")
            raise RunError(
                f"checkpoint: expected the state of a training of recipe {self.recipe.name}, got another ({reason}); "
                "train again with --overwrite"
            ) from cause
        restore_generator(self.model.generator, widths)


def _num_steps(recipe: Recipe, splits: DataSplits) -> int:
    return math.ceil(len(splits.train) / recipe.training.batch_size)


def _trained(model: Elastic, recipe: Recipe) -> nn.Module:
    """Return what the loss is taken of: the elastic model, or for method "plain" the network in it."""
    return model if recipe.training.method == "structural" else model.net


def _loss(net: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
    return net.loss((inputs, labels), cross_entropy) if isinstance(net, Elastic) else cross_entropy(net(inputs), labels)


@contextmanager
def _seeded(seed: int, batch: Batch) -> Generator[None]:
    """Seed the global generator of the CPU for one step, for layers such as nn.Dropout; put it back then."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(
            make_generator(seed, Stream.DROPOUT, batch.epoch, batch.step).initial_seed()
        )
        yield
