"""A gain and a bias for each unit per octave of width.

A unit of a narrow network reads fewer units than in a wide one, so that what it sums up is smaller and shifted. Each
unit, of hidden layers and of the last one, gets a gain, on the weights that make it, and a bias, on the bias of its
layer or the gain and bias of its norm, per octave below full width; all else stays shared. That costs next to nothing,
and is folded in at extract. With norms this is the per-width affine of slimmable networks [Yu et al. 2018, arXiv
1812.08928, section 3.3], here without their statistics.
"""

from collections.abc import Mapping
from typing import final

import torch
from torch import Tensor, nn

from widthwise.elastic.octave import blend
from widthwise.slicing import UnitCorrection

__all__ = ["UnitAffine"]


@final
class UnitAffine(nn.Module):
    """Corrections of shape (octaves, positions) along one axis of each parameter, zero at first.

    Args:
        num_octaves: Octaves below full width.
        parameters: The full parameters by name, each with the axis of its units; one at least.

    Attributes:
        axes: The axis of each corrected parameter, by its name.
        rows: The corrections, in that order.
    """

    def __init__(self, num_octaves: int, parameters: Mapping[str, tuple[Tensor, int]]) -> None:
        super().__init__()
        self.axes = {name: axis for name, (_, axis) in parameters.items()}
        self.rows = nn.ParameterList(
            torch.zeros(num_octaves, tensor.shape[axis], dtype=tensor.dtype, device=tensor.device)
            for tensor, axis in parameters.values()
        )

    def at(self, fraction: float) -> dict[str, UnitCorrection]:
        """Return the corrections of networks of this fraction of the full width, by the names of the parameters."""
        return {
            name: UnitCorrection(axis=axis, values=values)
            for (name, axis), rows in zip(self.axes.items(), self.rows, strict=True)
            if (values := blend(rows, fraction)) is not None
        }
