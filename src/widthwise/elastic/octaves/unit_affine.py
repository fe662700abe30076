"""A gain and a bias for each unit per octave of width.

A unit of a narrow network reads fewer units than in a wide one, so that what it sums up is smaller and shifted. Each
unit, of hidden layers and of the last one, gets a gain, on the weights that make it, and a bias, on the bias of its
layer or the gain and bias of its norm, per octave below full width; all else stays shared. That costs next to nothing,
and is folded in at extract. With norms this is the per-width affine of slimmable networks [Yu et al. 2018, arXiv
1812.08928, section 3.3], here without their statistics.
"""

from collections.abc import Mapping, Sequence
from typing import final

import torch
from torch import Tensor, nn

from widthwise.elastic.octaves.octave import blend

__all__ = ["UnitAffine"]


@final
class UnitAffine(nn.Module):
    """Corrections of units, along one axis of each parameter, zero at first.

    Those of parameters of one dtype on one device stand side by side in one tensor: a run at a width waits for each
    operator, and there may be hundreds of parameters.

    Args:
        num_octaves: Octaves below full width.
        parameters: The full parameters by name, each with the axis of its units; one at least.

    Attributes:
        axes: The axis of each corrected parameter, by its name.
        rows: Of shape (octaves, positions of all parameters of one dtype and device).
        packs: Those parameters of each of `rows` with their axes, in order.
    """

    def __init__(self, num_octaves: int, parameters: Mapping[str, tuple[Tensor, int]]) -> None:
        super().__init__()
        self.axes = {name: axis for name, (_, axis) in parameters.items()}
        self._sizes = {name: tensor.shape[axis] for name, (tensor, axis) in parameters.items()}
        kinds: dict[tuple[torch.dtype, torch.device], list[str]] = {}
        for name, (tensor, _) in parameters.items():
            kinds.setdefault((tensor.dtype, tensor.device), []).append(name)
        self.packs: Sequence[Mapping[str, int]] = [
            {name: self.axes[name] for name in names} for names in kinds.values()
        ]
        self.rows = nn.ParameterList(
            torch.zeros(num_octaves, sum(self._sizes[name] for name in names), dtype=dtype, device=device)
            for (dtype, device), names in kinds.items()
        )

    def at(self, fraction: float) -> list[tuple[Mapping[str, int], Tensor]]:
        """Return the values of networks of this fraction of the full width for each of `packs`; none at full width."""
        found = [(axes, blend(rows, fraction)) for axes, rows in zip(self.packs, self.rows, strict=True)]
        return [(axes, values) for axes, values in found if values is not None]

    def split(self) -> dict[str, Tensor]:
        """Return the corrections of each parameter, of shape (octaves, positions), by its name."""
        found: dict[str, Tensor] = {}
        for axes, rows in zip(self.packs, self.rows, strict=True):
            found |= zip(axes, rows.split([self._sizes[name] for name in axes], dim=1), strict=True)
        return {name: found[name] for name in self.axes}

    def is_zero(self) -> bool:
        """Whether nothing was learned yet."""
        return not any(bool(rows.any()) for rows in self.rows)
