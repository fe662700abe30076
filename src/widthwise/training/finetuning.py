"""Train an extracted network a little longer, at its own width alone."""

import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from widthwise._shared import RecipeError, TrainingError, make_generator, track
from widthwise.training.batch import Batch
from widthwise.training.divergence import measure_gradients
from widthwise.training.network import Splits, build_network, build_task
from widthwise.training.optimiser import make_optimiser, make_schedule
from widthwise.training.recipe import Recipe
from widthwise.training.run import Run
from widthwise.training.stream import Stream
from widthwise.training.task import Task

__all__ = ["Finetuned", "finetune"]

# Of the highest rate of the training. The weights are near a minimum, which the full rate would leave at once.
_RATE = 0.1


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Finetuned:
    """What fine-tuning brought: the score on the validation split before and after.

    `is_kept` says whether the weights are the new ones: those of the best epoch, unless none was better than before.
    """

    epochs: int
    name: str
    before: float
    after: float
    is_kept: bool


def finetune(
    net: nn.Module, run: Run, *, epochs: int, splits: Splits | None = None, progress: bool | None = None
) -> Finetuned:
    """Train a network of a run in place and return what it brought; the better weights are those that stay.

    The optimiser is the recipe's, at a tenth of its rate, which falls as a cosine; the batches are those of the epochs
    after the training. In float32 on the CPU, and bit-equal when done again.

    Args:
        net: Extracted from the model of the run, in evaluation mode; it is so again afterwards.
        run: A finished run.
        epochs: How many, at least 1.
        splits: Its data, where it is at hand.
        progress: True draws a bar, False none, None one where somebody looks.

    Raises:
        RecipeError: Fewer epochs than one.
        TrainingError: The loss or a gradient is not finite; the weights are those of the best epoch so far.
    """
    if epochs < 1:
        raise RecipeError(f"expected at least 1 epoch of fine-tuning, got {epochs}; leave it out for none")
    recipe = run.recipe
    # A full network tells how a text is read, which a graph does not.
    task = build_task(recipe, splits or run.load_data(), build_network(recipe))
    score = task.score()
    before = best = score(net)
    kept = copy.deepcopy(net.state_dict())
    settings = recipe.training.model_copy(
        update={"learning_rate": _RATE * recipe.training.learning_rate, "schedule": "cosine", "warmup": None}
    )
    optimiser = make_optimiser(net, settings)
    schedule = make_schedule(optimiser, settings, epochs * task.num_batches)
    trained = _Trained(net=net, task=task, optimiser=optimiser, schedule=schedule, recipe=recipe)
    try:
        batches = trained.batches(run.state.finished_epochs, epochs)
        for batch in track(batches, "fine-tuning", total=epochs * task.num_batches, show=progress):
            trained.step(batch)
            if batch.is_last and _is_better(found := score(net), best, score.higher_is_better):
                best, kept = found, copy.deepcopy(net.state_dict())
    finally:
        net.load_state_dict(kept)
        net.eval()
    return Finetuned(epochs=epochs, name=score.name, before=before, after=best, is_kept=best != before)


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class _Trained:
    """A network under training, and where that stands."""

    net: nn.Module
    task: Task
    optimiser: Optimizer
    schedule: LRScheduler
    recipe: Recipe

    def batches(self, finished: int, epochs: int) -> Iterator[Batch]:
        for epoch in range(finished + 1, finished + epochs + 1):
            parts = self.task.order(make_generator(self.recipe.training.seed, Stream.ORDER, epoch))
            for step, indices in enumerate(parts, start=1):
                yield Batch(indices=indices, epoch=epoch, step=step, is_last=step == len(parts))

    def step(self, batch: Batch) -> None:
        self.net.train()
        with torch.random.fork_rng(devices=[]):
            seed = make_generator(self.recipe.training.seed, Stream.DROPOUT, batch.epoch, batch.step).initial_seed()
            torch.default_generator.manual_seed(seed)
            loss = self.task.loss(self.net, batch)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        norm = float(measure_gradients(self.net, self.recipe.training.grad_clip))
        if not math.isfinite(norm) or not torch.isfinite(loss.detach()):
            raise TrainingError(
                f"expected finite losses and gradients in fine-tuning, got a loss of {float(loss.detach()):.4g} at "
                f"step {batch.step}; leave it out, or take a wider network"
            )
        self.optimiser.step()
        self.schedule.step()


def _is_better(score: float, best: float, higher_is_better: bool) -> bool:
    return score > best if higher_is_better else score < best
