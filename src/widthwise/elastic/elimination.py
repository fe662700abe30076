"""Backward elimination: which units to keep is asked again at every width, of those that are left.

What the loss changes by when one unit goes says little of what it changes by when most of them go: the others stand in
for a single one. So the units are sorted at full width, a tenth of them is left out, the rest is sorted by the loss of
the network that is left, and so on. (Molchanov et al. 2019 prune step by step too, and train on in between.)
"""

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm as BatchNorm  # pyright: ignore[reportPrivateUsage]

from widthwise._shared import GroupError
from widthwise.elastic.arrangement import Arrangement
from widthwise.elastic.engines.engine import Engine
from widthwise.elastic.objective import Criterion
from widthwise.elastic.samples import Samples
from widthwise.slicing import Taylor

__all__ = ["eliminate"]

# Of 0.5, 0.7, 0.9 and 0.95, tried on MLPs of the digits, the last two kept most at a quarter, and about the same.
_STEP = 0.9
# Narrower ones are sorted as this one is.
_NARROWEST = 1 / 32


def eliminate(engine: Engine, samples: Sequence[Samples], criterion: Criterion, arrangement: Arrangement) -> None:
    """Sort the units by Taylor's estimate at ever smaller widths, in place.

    Args:
        engine: Of the network, in evaluation mode. Batch norms use the statistics of each part below full width, since
            no others are known there.
        samples: Those that it is measured on, several times over.
        criterion: Gives the loss as criterion(outputs, targets).
        arrangement: Puts the units in order.

    Raises:
        GroupError: The criterion gives no loss.
    """
    widths = engine.groups.sizes
    arrangement.sort(_measure(engine, samples, criterion, widths), widths)
    fraction = _STEP
    while fraction >= _NARROWEST:
        narrower = {group.name: group.units_at(fraction) for group in engine.groups}
        shrunk = {name: width for name, width in narrower.items() if width < widths[name]}
        if shrunk:
            widths = narrower
            with _own_statistics(engine.net):
                scores = _measure(engine, samples, criterion, widths)
            arrangement.sort(scores, shrunk)
        fraction *= _STEP


def _measure(
    engine: Engine, samples: Sequence[Samples], criterion: Criterion, widths: Mapping[str, int]
) -> Mapping[str, Tensor]:
    taylor = Taylor(engine.units())
    is_full = widths == engine.groups.sizes
    with _all_learnt(engine.net, taylor.parameters):
        for each in samples:
            args, kwargs = each.inputs.args, each.inputs.kwargs
            outputs = engine.run_whole(args, kwargs) if is_full else engine.run_at(widths, args, kwargs)
            loss = criterion(outputs, each.targets)
            _check_loss(loss)
            taylor.add(torch.autograd.grad(loss, taylor.parameters, allow_unused=True))
    return taylor.scores()


def _check_loss(loss: object) -> None:
    if not isinstance(loss, Tensor) or loss.numel() != 1 or not loss.requires_grad:
        got = f"shape {tuple(loss.shape)}" if isinstance(loss, Tensor) else type(loss).__name__
        raise GroupError(
            f"criterion must return one number that depends on the outputs, got {got}; let it return their mean loss"
        )


@contextmanager
def _all_learnt(net: nn.Module, parameters: Sequence[Tensor]) -> Generator[None]:
    """Let gradients reach parameters that are held fixed too, and recurrent layers in evaluation mode."""
    before = [parameter.requires_grad for parameter in parameters]
    # cuDNN has no backward for these.
    is_recurrent = any(isinstance(module, nn.RNNBase) for module in net.modules())
    try:
        for parameter in parameters:
            parameter.requires_grad_(True)
        with torch.backends.cudnn.flags(enabled=torch.backends.cudnn.enabled and not is_recurrent):
            yield
    finally:
        for parameter, flag in zip(parameters, before, strict=True):
            parameter.requires_grad_(flag)


@contextmanager
def _own_statistics(net: nn.Module) -> Generator[None]:
    """Let batch norms use the statistics of their batch, and remember none of them."""
    norms = [module for module in net.modules() if isinstance(module, BatchNorm)]
    before = [(buffer, buffer.clone()) for norm in norms for buffer in norm.buffers()]
    try:
        for norm in norms:
            norm.training = True
        yield
    finally:
        for norm in norms:
            norm.training = False
        with torch.no_grad():
            for buffer, value in before:
                buffer.copy_(value)
