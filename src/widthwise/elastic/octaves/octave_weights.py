"""Weights of its own for each octave of width, added to those that all widths share.

A network of few units has to compute with the same numbers that a wide one needs for something else. So each weight
matrix or kernel has, per octave below full width, a difference that is added to its kept part; between two octaves both
count, by how near they are. That costs no multiply-accumulates and, since narrow octaves are small, one to two more
copies of the parameters in training. `extract` folds the differences in: what is taken home is as small as ever.
"""

import math
from collections.abc import Mapping
from itertools import accumulate
from typing import final

import torch
from torch import Tensor, nn

from widthwise.elastic.octaves.octave import share_octaves
from widthwise.graph import Axes, atoms_of, count, resize
from widthwise.slicing import Kept, WeightCorrection
from widthwise.slicing.running.cut import cut

__all__ = ["OctaveWeights"]


@final
class OctaveWeights(nn.Module):
    """Differences, zero at first; one of octave k is as large as its weight at the width of octave k - 1.

    Args:
        num_octaves: Octaves below full width.
        weights: The full weights by name, each with the terms of its axes.
        moving: The keys of the atoms that follow a common fraction; others do not tell an octave.

    Attributes:
        rows: The differences of all octaves of the first weight, then of the next.
    """

    def __init__(self, num_octaves: int, weights: Mapping[str, tuple[Tensor, Axes]], moving: frozenset[int]) -> None:
        super().__init__()
        self._num_octaves = num_octaves
        self._moving = moving
        # What a difference of each octave is cut by: atoms that are as large as it is.
        self._axes = {
            name: tuple(_shrink(axes, 2.0**-above, moving) for above in range(num_octaves))
            for name, (_, axes) in weights.items()
        }
        self.rows = nn.ParameterList(
            torch.zeros([count(term, {}) for term in axes], dtype=tensor.dtype, device=tensor.device)
            for name, (tensor, _) in weights.items()
            for axes in self._axes[name]
        )

    def at(self, kept: Kept) -> dict[str, WeightCorrection]:
        """Return what is added to each weight at kept sets that are prefixes, by its name."""
        found: dict[str, WeightCorrection] = {}
        starts = accumulate([self._num_octaves] * (len(self._axes) - 1), initial=0)
        for start, (name, every) in zip(starts, self._axes.items(), strict=True):
            shares = share_octaves(self._find_fraction(every[0], kept), self._num_octaves)
            if shares:
                found[name] = WeightCorrection(
                    parts=tuple((share, cut(self.rows[start + above], every[above], kept)) for above, share in shares)
                )
        return found

    @property
    def differences(self) -> dict[str, tuple[tuple[Tensor, Axes], ...]]:
        """What is added to each weight in every octave, with what its axes are made of, by the weight's name."""
        starts = accumulate([self._num_octaves] * (len(self._axes) - 1), initial=0)
        return {
            name: tuple(zip(self.rows[start : start + self._num_octaves], every, strict=True))
            for start, (name, every) in zip(starts, self._axes.items(), strict=True)
        }

    def is_zero(self) -> bool:
        """Whether nothing was learned yet."""
        return not any(bool(row.any()) for row in self.rows)

    def _find_fraction(self, axes: Axes, kept: Kept) -> float:
        """Return the largest fraction that a moving axis of a weight keeps."""
        atoms = [atom for term in axes for atom in atoms_of(term) if atom.key in self._moving]
        return max(count(atom, kept) / atom.size for atom in atoms)


def _shrink(axes: Axes, fraction: float, moving: frozenset[int]) -> Axes:
    """Return terms whose moving atoms have that fraction of their units, rounded up."""
    atoms = {atom.key: atom for term in axes for atom in atoms_of(term) if atom.key in moving}
    sizes = {key: math.ceil(fraction * atom.size) for key, atom in atoms.items()}
    return tuple(resize(term, sizes) for term in axes)
