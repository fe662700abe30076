"""Corrections of parameters at kept sets: what a network of these widths has of its own.

A unit correction holds values along one axis of a parameter. They are added to a parameter of one axis (the bias of a
layer, the gain and the bias of a norm); a weight is multiplied by 1 + values, which stretches what each unit sums up. A
weight correction is added to a weight, number by number.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import final

from torch import Tensor

from widthwise.graph import Axes
from widthwise.slicing.cut import cut
from widthwise.slicing.program import Kept

__all__ = ["Correction", "UnitCorrection", "WeightCorrection"]


class Correction(ABC):
    """What is changed of a parameter that was cut."""

    @abstractmethod
    def apply(self, part: Tensor, axes: Axes, kept: Kept) -> Tensor:
        """Return a parameter that was cut to kept sets, corrected.

        Args:
            part: The cut.
            axes: What the axes of the parameter are made of.
            kept: The kept sets.
        """


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class UnitCorrection(Correction):
    """Values along an axis of a parameter, at full width; zeros change nothing.

    Attributes:
        axis: Of the parameter.
        values: One per position of the axis.
    """

    axis: int
    values: Tensor

    def apply(self, part: Tensor, axes: Axes, kept: Kept) -> Tensor:
        """Return a parameter that was cut to kept sets, corrected."""
        values = cut(self.values, (axes[self.axis],), kept)
        if part.dim() == 1:
            return part + values
        return part * (1 + values).reshape([-1 if axis == self.axis else 1 for axis in range(part.dim())])


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class WeightCorrection(Correction):
    """A weighted sum of tensors that hold at least what is kept of a parameter; zeros change nothing.

    Attributes:
        parts: The share of each, the tensor, and what its axes are made of: those of the parameter, with fewer units.
    """

    parts: tuple[tuple[float, Tensor, Axes], ...]

    def apply(self, part: Tensor, axes: Axes, kept: Kept) -> Tensor:  # noqa: ARG002
        """Return a parameter that was cut to kept sets, corrected."""
        for share, values, own in self.parts:
            part = part.add(cut(values, own, kept), alpha=share)
        return part
