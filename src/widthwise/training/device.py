"""Where a network is."""

import torch
from torch import nn

__all__ = ["device_of"]


def device_of(net: nn.Module) -> torch.device:
    """Return the device of the parameters of a network, the CPU where it has none."""
    return next((parameter.device for parameter in net.parameters()), torch.device("cpu"))
