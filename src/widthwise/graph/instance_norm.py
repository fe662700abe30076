"""Instance norm in training, written out: the one operator whose updates of statistics survive functionalisation.

`torch.export` makes the updates of batch norm extra outputs, but leaves those of instance norm hidden inside the
operator, where every chunk of a stratified batch would write to the buffers.
"""

from typing import Any

import torch
from torch import Tensor

__all__ = ["write_out_updates"]


def write_out_updates(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    use_input_stats: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool,  # noqa: ARG001  (part of the operator's signature)
) -> Any:
    """Return the normalised input and update the statistics as `aten.instance_norm` does.

    Returns:
        `NotImplemented` where nothing is updated: the operator then stays whole.
    """
    if running_mean is None or running_var is None or not use_input_stats:
        return NotImplemented
    axes = list(range(2, x.dim()))
    variance, mean = torch.var_mean(x, axes, correction=0, keepdim=True)
    for old, new in ((running_mean, mean.mean([0, *axes])), (running_var, x.var(axes, correction=1).mean(0))):
        old.copy_((1 - momentum) * old + momentum * new)
    y = (x - mean) * (variance + eps).rsqrt()
    shape = [1, -1] + [1] * len(axes)
    y = y if weight is None else y * weight.reshape(shape)
    return y if bias is None else y + bias.reshape(shape)
