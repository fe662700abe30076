"""A network as it is when it is measured: in eval mode, without gradients, and afterwards as it was before."""

from collections.abc import Generator
from contextlib import contextmanager

import torch
from torch import nn

__all__ = ["evaluating"]


@contextmanager
def evaluating(net: nn.Module) -> Generator[None]:
    """Put every module of `net` in eval mode under `torch.inference_mode`, then give each module back its own mode.

    Example:
        >>> net = nn.Sequential(nn.Dropout()).train()
        >>> with evaluating(net):
        ...     net.training
        False
        >>> net.training
        True
    """
    modes = [(module, module.training) for module in net.modules()]
    net.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        for module, was_training in modes:
            module.training = was_training
