"""Let parameters that a step does not use have a gradient of zero, where several processes add theirs up.

What each octave of width has of its own takes part in few steps only, and in others in another process, while data
parallel training waits for a gradient of every parameter in every process.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch import distributed as dist
from torch.utils import _pytree as pytree

__all__ = ["keep_present"]


def keep_present(outputs: Any, parameters: Iterable[Tensor]) -> Any:
    """Return outputs as they are, but so that backward reaches all of the parameters; in one process do nothing.

    Args:
        outputs: Of a training step; the first tensor among them that carries gradients leads to the parameters.
        parameters: Those of the model besides the network's.
    """
    wanted = [parameter for parameter in parameters if parameter.requires_grad]
    if not wanted or not dist.is_available() or not dist.is_initialized():
        return outputs
    leaves, spec = pytree.tree_flatten(outputs)
    place = next((i for i, leaf in enumerate(leaves) if isinstance(leaf, Tensor) and leaf.requires_grad), None)
    if place is None:
        return outputs
    leaves[place] = _Present.apply(leaves[place], *wanted)
    return pytree.tree_unflatten(leaves, spec)


class _Present(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, value: Tensor, *parameters: Tensor) -> Tensor:
        ctx.save_for_backward(*parameters)
        return value.view_as(value)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        return grad, *(torch.zeros_like(parameter) for parameter in ctx.saved_tensors)
