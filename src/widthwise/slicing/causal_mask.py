"""The mask that causal channels put on a weight."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

__all__ = ["CausalMask", "strip_masks"]


class CausalMask(nn.Module):
    """Holds a weight at zero where a unit would read units that come after it.

    Args:
        mask: One where the weight stays, else zero; it broadcasts with the weight.
    """

    mask: Tensor

    def __init__(self, mask: Tensor) -> None:
        super().__init__()
        self.register_buffer("mask", mask)

    def forward(self, weight: Tensor) -> Tensor:
        """Return the weight with zeros where the mask has them."""
        return weight * self.mask


def strip_masks(net: nn.Module) -> None:
    """Let the modules of a network hold masked weights as they are, and the masks no more; in place."""
    for module in list(net.modules()):
        lists: Any = getattr(module, "parametrizations", None)
        if not parametrize.is_parametrized(module):
            continue
        masks = {name: each[0] for name, each in lists.items() if len(each) == 1 and isinstance(each[0], CausalMask)}
        if len(masks) < len(lists):
            continue
        weights = {name: lists[name].original for name in masks}
        # PyTorch's own removal would change the class of other copies too.
        del module.parametrizations
        module.__class__ = type(module).__bases__[0]
        for name, weight in weights.items():
            with torch.no_grad():
                weight.mul_(masks[name].mask)
            module.register_parameter(name, weight)
