"""BatchNorm recalibration of a network that runs as its own code: the form of `recalibrate` for plain modules."""

from collections.abc import Iterable

import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase as Normalization  # pyright: ignore[reportPrivateUsage]

from widthwise._shared import DataError
from widthwise.graph import Example

__all__ = ["has_statistics", "recalibrate_modules"]


def has_statistics(net: nn.Module) -> bool:
    """Return whether some norm of a network keeps running statistics."""
    return bool(_find_norms(net))


@torch.no_grad()
def recalibrate_modules(net: nn.Module, batches: Iterable[Example]) -> None:
    """Measure the running statistics of a network anew, in place: the mean over batches, each with equal weight.

    All norms use the statistics of their batch meanwhile; everything else stays in evaluation mode.

    Args:
        net: A network in evaluation mode.
        batches: Inputs of its calls.

    Raises:
        DataError: There is no batch, or one of them has a single value per channel.
    """
    norms = _find_norms(net)
    before = [norm.momentum for norm in norms]
    try:
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None
            norm.train()
        _run_all(net, batches)
    finally:
        for norm, momentum in zip(norms, before, strict=True):
            norm.momentum = momentum
            norm.eval()


def _run_all(net: nn.Module, batches: Iterable[Example]) -> None:
    num_batches = 0
    for inputs in batches:
        try:
            net(*inputs.args, **inputs.kwargs)
        except ValueError as error:
            raise DataError(
                f"calibration needs more than one value per channel in every batch ({error}); use larger batches "
                "(drop_last=True of a DataLoader leaves out a last batch of one sample)"
            ) from error
        num_batches += 1
    if num_batches == 0:
        raise DataError("calibration needs at least one batch, got an empty loader; pass training samples")


def _find_norms(net: nn.Module) -> list[Normalization]:
    norms = [module for module in net.modules() if isinstance(module, Normalization)]
    return [norm for norm in norms if norm.track_running_stats and norm.running_mean is not None]
