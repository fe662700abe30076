"""Biases of their own for the units at each octave of width.

A unit of a narrow network reads fewer units than in a wide one, so that what it adds up to is shifted. Each parameter
with one axis, of units (the bias of a layer, the gain and bias of a norm), gets a correction per octave below full
width; all weights stay shared. That costs next to nothing, and is added to the parameters at extract. With norms this
is the per-width affine of slimmable networks [Yu et al. 2018, arXiv 1812.08928, section 3.3], here without their
statistics.
"""

from collections.abc import Mapping
from typing import final

import torch
from torch import Tensor, nn

from widthwise._shared import GroupError
from widthwise.elastic.octave import find_row

__all__ = ["OctaveBiases"]


@final
class OctaveBiases(nn.Module):
    """Corrections of shape (octaves, units) for each parameter of one axis, zero at first.

    Args:
        num_octaves: Octaves below full width.
        parameters: The full parameters by name, each with one axis of units.

    Raises:
        GroupError: There is none.
    """

    def __init__(self, num_octaves: int, parameters: Mapping[str, Tensor]) -> None:
        super().__init__()
        if not parameters:
            raise GroupError(
                "octave_biases need layers or norms with a bias whose units shrink, got none; leave out octave_biases="
            )
        self.names = tuple(parameters)
        self.shifts = nn.ParameterList(
            torch.zeros(num_octaves, len(tensor), dtype=tensor.dtype, device=tensor.device)
            for tensor in parameters.values()
        )

    def row(self, fraction: float) -> int | None:
        """Return which row serves networks of this fraction of the full width; None for none."""
        return find_row(fraction, self.shifts[0].shape[0])

    def at(self, row: int) -> dict[str, Tensor]:
        """Return the corrections (units,) of a row by the names of their parameters."""
        return {name: shift[row] for name, shift in zip(self.names, self.shifts, strict=True)}
