"""A gain and a bias on the outputs per octave of width.

Narrow networks sum over fewer units, so their logits want another scale and offset than those of wide ones; one row of
gains and biases for each octave below full width costs next to nothing and is folded into the head at extract. Widths
in the top half octave (more than 2^-1/2 of full) have none, so that the full network stays the plain one.
"""

import math
from collections.abc import Mapping

import torch
from torch import nn

from widthwise._shared import GroupError

__all__ = ["OctaveAffine", "find_octave", "find_row"]


class OctaveAffine(nn.Module):
    """Gains and biases of shape (octaves, outputs), one row per octave below full width.

    Args:
        num_octaves: Octaves below full width.
        num_outputs: The size of the outputs' last axis.
        like: A tensor of the wanted dtype and device.
    """

    def __init__(self, num_octaves: int, num_outputs: int, like: torch.Tensor) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(num_octaves, num_outputs, dtype=like.dtype, device=like.device))
        self.bias = nn.Parameter(torch.zeros(num_octaves, num_outputs, dtype=like.dtype, device=like.device))

    def row(self, fraction: float) -> int | None:
        """Return which row serves networks of this fraction of the full width; None for none."""
        return find_row(fraction, self.gain.shape[0])

    def forward(self, outputs: torch.Tensor, row: int | None) -> torch.Tensor:
        """Return outputs * gain + bias of a row; outputs of shape (..., outputs)."""
        return outputs if row is None else outputs * self.gain[row] + self.bias[row]

    @torch.no_grad()
    def fold(self, state: Mapping[str, torch.Tensor], weight: str, bias: str, row: int | None) -> None:
        """Fold a row into the head's weight (outputs, units) and bias (outputs,) in place."""
        if row is not None:
            state[weight].mul_(self.gain[row][:, None])
            state[bias].mul_(self.gain[row]).add_(self.bias[row])


def find_row(fraction: float, num_octaves: int) -> int | None:
    """Return which of the rows of octaves serves networks of this fraction of the full width; None for none."""
    octave = find_octave(fraction)
    return None if octave == 0 else min(octave, num_octaves) - 1


def find_octave(fraction: float) -> int:
    """Return the nearest octave below full width: 0 at full, 1 at a half, 2 at a quarter."""
    if not 0 < fraction <= 1:
        raise GroupError(f"a fraction must lie in (0, 1], got {fraction!r}; use 1.0 for the full model")
    return math.floor(0.5 - math.log2(fraction))
