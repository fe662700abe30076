"""Corrections of parameters, unit by unit: a shift of what is added to units, a stretch of the weights that make them.

A network is corrected by values along one axis of a parameter. They are added to a parameter of one axis (the bias of a
layer, the gain and the bias of a norm); a weight is multiplied by 1 + values, which stretches what each unit sums up.
"""

from dataclasses import dataclass
from typing import final

from torch import Tensor

from widthwise.graph import Axes
from widthwise.slicing.cut import cut
from widthwise.slicing.program import Kept

__all__ = ["Correction"]


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Correction:
    """Values along an axis of a parameter, at full width; zeros change nothing.

    Attributes:
        axis: Of the parameter.
        values: One per position of the axis.
    """

    axis: int
    values: Tensor

    def apply(self, part: Tensor, axes: Axes, kept: Kept) -> Tensor:
        """Return a parameter that was cut to kept sets, corrected.

        Args:
            part: The cut.
            axes: What the axes of the parameter are made of.
            kept: The kept sets.
        """
        values = cut(self.values, (axes[self.axis],), kept)
        if part.dim() == 1:
            return part + values
        return part * (1 + values).reshape([-1 if axis == self.axis else 1 for axis in range(part.dim())])
