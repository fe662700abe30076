"""Let a value count more or less: forward it is itself, backward its gradient is multiplied."""

from typing import Any

import torch
from torch import Tensor

__all__ = ["weigh"]


def weigh(value: Tensor, weight: float) -> Tensor:
    """Return the value; its gradient is multiplied by `weight`, so that a loss on it counts that much."""
    if weight == 1.0 or not value.requires_grad:
        return value
    return _Weighed.apply(value, weight)  # pyright: ignore[reportReturnType]


class _Weighed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, value: Tensor, weight: float) -> Tensor:
        ctx.weight = weight
        return value.view_as(value)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        return grad * ctx.weight, None
