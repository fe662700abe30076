"""The optimiser and the schedule of a recipe, both as torch has them."""

from torch import nn
from torch.optim import SGD, Adam, Optimizer
from torch.optim.lr_scheduler import ConstantLR, CosineAnnealingLR, LRScheduler, OneCycleLR

from widthwise.training.recipe import TrainingSection

__all__ = ["make_optimiser", "make_schedule"]

_MOMENTUM = 0.9


def make_optimiser(net: nn.Module, settings: TrainingSection) -> Optimizer:
    """Return the optimiser over the parameters of `net` that want a gradient."""
    parameters = [parameter for parameter in net.parameters() if parameter.requires_grad]
    if settings.optimizer == "adam":
        return Adam(parameters, lr=settings.learning_rate, weight_decay=settings.weight_decay)
    momentum = _MOMENTUM if settings.momentum is None else settings.momentum
    return SGD(parameters, lr=settings.learning_rate, momentum=momentum, weight_decay=settings.weight_decay)


def make_schedule(optimiser: Optimizer, settings: TrainingSection, num_steps: int) -> LRScheduler:
    """Return the schedule of the learning rate over the `num_steps` steps of a whole training; step it after each."""
    if settings.schedule == "one_cycle":
        # Momentum stays as the optimiser has it: a setting of the recipe must not be overwritten by its schedule.
        return OneCycleLR(optimiser, max_lr=settings.learning_rate, total_steps=num_steps, cycle_momentum=False)
    if settings.schedule == "cosine":
        return CosineAnnealingLR(optimiser, T_max=num_steps)
    return ConstantLR(optimiser, factor=1.0, total_iters=0)
