"""Corrections of parameters at kept sets: what a network of these widths has of its own.

A unit correction holds values along one axis of a parameter. They are added to a parameter of one axis (the bias of a
layer, the gain and the bias of a norm); a weight is multiplied by 1 + values, which stretches what each unit sums up. A
weight correction is added to a weight, number by number.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

__all__ = ["Correction", "UnitCorrection", "WeightCorrection"]


class Correction(ABC):
    """What is changed of a parameter that was cut."""

    @abstractmethod
    def apply(self, part: Tensor) -> Tensor:
        """Return a parameter that was cut to the kept sets of this correction, corrected."""


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class UnitCorrection(Correction):
    """Values along an axis of a parameter that was cut; zeros change nothing.

    Attributes:
        axis: Of the parameter.
        values: One per kept position of the axis.
    """

    axis: int
    values: Tensor

    def apply(self, part: Tensor) -> Tensor:
        """Return a parameter that was cut to the kept sets of this correction, corrected."""
        if part.dim() == 1:
            return part + self.values
        values = self.values.view([-1 if axis == self.axis else 1 for axis in range(part.dim())])
        return torch.addcmul(part, part, values)


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class WeightCorrection(Correction):
    """A weighted sum of tensors of the shape of a parameter that was cut; zeros change nothing.

    Attributes:
        parts: The share of each, and the tensor.
    """

    parts: tuple[tuple[float, Tensor], ...]

    def apply(self, part: Tensor) -> Tensor:
        """Return a parameter that was cut to the kept sets of this correction, corrected."""
        for share, values in self.parts:
            part = part.add(values, alpha=share)
        return part
