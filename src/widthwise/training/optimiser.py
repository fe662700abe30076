"""The optimiser and the schedule of a recipe, both as torch has them."""

import math
from collections.abc import Callable

from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import ConstantLR, CosineAnnealingLR, LambdaLR, LRScheduler, OneCycleLR

from widthwise.training.recipe import TrainingSection

__all__ = ["make_optimiser", "make_schedule"]

_MOMENTUM = 0.9
# Of the steps, as OneCycleLR has it.
_RISE = 0.3


def make_optimiser(net: nn.Module, settings: TrainingSection) -> Optimizer:
    """Return the optimiser over the parameters of `net` that want a gradient, each step one kernel over all of them.

    At narrow widths a step of the network is short, and one of an optimiser that goes parameter by parameter is not.
    """
    parameters = [parameter for parameter in net.parameters() if parameter.requires_grad]
    if settings.optimizer != "sgd":
        kind = Adam if settings.optimizer == "adam" else AdamW
        return kind(parameters, lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True)
    momentum = _MOMENTUM if settings.momentum is None else settings.momentum
    decay = settings.weight_decay
    return SGD(parameters, lr=settings.learning_rate, momentum=momentum, weight_decay=decay, fused=True)


def make_schedule(optimiser: Optimizer, settings: TrainingSection, num_steps: int) -> LRScheduler:
    """Return the schedule of the learning rate over the `num_steps` steps of a whole training; step it after each."""
    if settings.schedule == "one_cycle":
        # Momentum stays as the optimiser has it: a setting of the recipe must not be overwritten by its schedule.
        rise = _RISE if settings.warmup is None else settings.warmup
        if rise * num_steps == 1:
            # A rise that ends with the first step makes torch divide by its length, which is then zero.
            rise *= 1 + 1e-9
        rate = settings.learning_rate
        return OneCycleLR(optimiser, max_lr=rate, total_steps=num_steps, pct_start=rise, cycle_momentum=False)
    if settings.warmup is not None:
        return LambdaLR(optimiser, _make_factor(settings, math.ceil(settings.warmup * num_steps), num_steps))
    if settings.schedule == "cosine":
        return CosineAnnealingLR(optimiser, T_max=num_steps)
    return ConstantLR(optimiser, factor=1.0, total_iters=0)


def _make_factor(settings: TrainingSection, num_rising: int, num_steps: int) -> Callable[[int], float]:
    """Return the factor of the learning rate at each step: it rises evenly to 1, then stays or falls as a cosine."""

    def factor(step: int) -> float:
        if step < num_rising:
            return (step + 1) / (num_rising + 1)
        if settings.schedule == "constant":
            return 1.0
        return 0.5 * (1 + math.cos(math.pi * (step - num_rising) / max(1, num_steps - num_rising)))

    return factor
