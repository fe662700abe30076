"""What octaves of width have of their own, in a program that takes the widths as inputs.

Which octaves count, and how much, is worked out of the widths at every call, as a part of the graph: the share of
octave k is 1 at its own width, and falls to 0 at those of the octaves beside it.
"""

from collections.abc import Mapping, Sequence
from typing import Any, cast, final

import torch
from torch import Tensor, nn

from widthwise.graph import Axes, atoms_of, indices
from widthwise.slicing.symbolic import cut_symbolically

__all__ = ["OctaveCorrection", "spread"]


@final
class OctaveCorrection(nn.Module):
    """A correction of a parameter per octave below full width.

    Args:
        rows: Of each octave at full width, (octaves, positions of `axis`) or (octaves, *shape of the parameter).
        axis: Along which units are corrected: biases are added, and weights multiplied by 1 + the value. None where
            every number of the parameter has its own, which is added.
        sizes: The full size of each group whose fraction tells the octave, by the key of its atom: their geometric mean
            for units, their largest for single numbers.
    """

    def __init__(self, rows: Tensor, *, axis: int | None, sizes: Mapping[int, int]) -> None:
        super().__init__()
        self._axis, self._sizes = axis, dict(sizes)
        self.register_buffer("rows", rows.detach().contiguous())
        self.register_buffer("octaves", torch.arange(1, len(rows) + 1, dtype=torch.float32))
        self.register_buffer("inverse", 1 / torch.tensor(list(sizes.values()), dtype=torch.float32))

    def forward(self, part: Tensor, axes: Axes, kept: Mapping[int, Any]) -> Tensor:
        """Return a parameter that was cut to units that are no numbers yet, corrected."""
        rows = cast("Tensor", self.rows)
        values = torch.tensordot(self._find_shares(kept).to(rows.dtype), rows, dims=1)
        if self._axis is None:
            return part + cut_symbolically(values, axes, kept)
        values = cut_symbolically(values, (axes[self._axis],), kept)
        if part.dim() == 1:
            return part + values
        return part * (1 + values).reshape([-1 if axis == self._axis else 1 for axis in range(part.dim())])

    def _find_shares(self, kept: Mapping[int, Any]) -> Tensor:
        """Plain form: `widthwise.elastic.octaves.octave.share_octaves`."""
        octaves, inverse = cast("Tensor", self.octaves), cast("Tensor", self.inverse)
        each = [-torch.log2(inverse[i] * kept.get(key, size)) for i, (key, size) in enumerate(self._sizes.items())]
        octave = torch.stack(each).mean() if self._axis is not None else torch.stack(each).min()
        return (1 - (octave.clamp(max=float(len(octaves))) - octaves).abs()).clamp(min=0)


def spread(parts: Sequence[tuple[Tensor, Axes]], axes: Axes, full: Tensor) -> Tensor:
    """Return tensors of fewer units than a parameter as (parts, *its shape), with zeros where they have none.

    Args:
        parts: Each with what its axes are made of: those of the parameter, with fewer units.
        axes: What the axes of the parameter are made of.
        full: The parameter.
    """
    rows = full.new_zeros(len(parts), *full.shape)
    for row, (tensor, own) in zip(rows, parts, strict=True):
        sizes = {atom.key: atom.size for term in own for atom in atoms_of(term)}
        places = [indices(term, sizes) for term in axes]
        row[torch.meshgrid(*places, indexing="ij")] = tensor.detach().to(row)
    return rows
