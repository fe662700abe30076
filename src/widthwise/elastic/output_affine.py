"""A gain and a bias on the outputs per octave of width.

Narrow networks sum over fewer units, so their logits want another scale and offset than those of wide ones; one row of
gains and biases for each octave below full width costs next to nothing and is folded into the head at extract. The full
network stays the plain one.
"""

from collections.abc import Mapping
from typing import final

import torch
from torch import Tensor, nn

from widthwise.elastic.octave import blend

__all__ = ["OutputAffine"]


@final
class OutputAffine(nn.Module):
    """Stretches and shifts of shape (octaves, outputs), zero at first: a gain is 1 plus its stretch.

    Args:
        num_octaves: Octaves below full width.
        num_outputs: The size of the outputs' last axis.
        like: A tensor of the wanted dtype and device.
    """

    def __init__(self, num_octaves: int, num_outputs: int, like: Tensor) -> None:
        super().__init__()
        self.stretch = nn.Parameter(torch.zeros(num_octaves, num_outputs, dtype=like.dtype, device=like.device))
        self.shift = nn.Parameter(torch.zeros(num_octaves, num_outputs, dtype=like.dtype, device=like.device))

    def forward(self, outputs: Tensor, fraction: float) -> Tensor:
        """Return outputs * gain + bias of networks of this fraction of the full width; outputs (..., outputs)."""
        stretch, shift = blend(self.stretch, fraction), blend(self.shift, fraction)
        return outputs if stretch is None or shift is None else outputs * (1 + stretch) + shift

    @torch.no_grad()
    def fold(self, state: Mapping[str, Tensor], weight: str, bias: str, fraction: float) -> None:
        """Fold gain and bias into the head's weight (outputs, units) and bias (outputs,) in place."""
        stretch, shift = blend(self.stretch, fraction), blend(self.shift, fraction)
        if stretch is not None and shift is not None:
            state[weight].mul_((1 + stretch)[:, None])
            state[bias].mul_(1 + stretch).add_(shift)
