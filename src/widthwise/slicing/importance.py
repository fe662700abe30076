"""How much each unit of a network matters, from its parameters and from their gradients.

Magnitude needs no data. Taylor [Molchanov, Mallya, Tyree, Frosio & Kautz 2019, equation 8] is the squared first-order
estimate of what the loss changes by when a unit is taken away: the sum of weight times gradient over the weights that
read it, squared for each batch. Where nothing tells which weights read, all parameters of the unit count.
"""

from collections.abc import Mapping, Sequence
from typing import final

import torch
from torch import Tensor

from widthwise.groups import Group
from widthwise.slicing.units import Place, Units, sum_by_unit

__all__ = ["Taylor", "measure_magnitude", "measure_reading"]


@torch.no_grad()
def measure_magnitude(units: Units) -> dict[str, Tensor]:
    """Return the magnitude of each unit by the name of its group, in float64.

    The norm of what belongs to the unit in each weight, in units of that weight's mean norm, averaged over the weights
    that write the unit and over those that read it; the two means are multiplied, so that a unit that nobody reads has
    none. Where nothing tells which read, it is one mean. Biases and gains count where there are no weights.
    """
    found: dict[str, Tensor] = {}
    for group in units.groups:
        read, written = _find_norms(units, group, is_read=True), _find_norms(units, group, is_read=False)
        found[group.name] = _average(read, group) * _average(written, group)
    return found


@torch.no_grad()
def measure_reading(units: Units) -> dict[str, Tensor]:
    """Return the norm of the weights that read each unit, as `measure_magnitude` takes it; 1 where none is known to."""
    return {group.name: _average(_find_norms(units, group, is_read=True), group) for group in units.groups}


@final
class Taylor:
    """Sums up the squared first-order change of the loss, batch by batch.

    Args:
        units: The units of the network.

    Attributes:
        parameters: Those whose gradients it takes.
    """

    def __init__(self, units: Units) -> None:
        self._units = units
        self._read = {group.name: _find_read(units, group) for group in units.groups}
        found = {id(place.tensor): place.tensor for read in self._read.values() for place, _ in read}
        self.parameters: tuple[Tensor, ...] = tuple(found.values())
        self._totals = {group.name: torch.zeros(group.size, dtype=torch.float64) for group in units.groups}

    @torch.no_grad()
    def add(self, gradients: Sequence[Tensor | None]) -> None:
        """Take in the gradients of one batch.

        Args:
            gradients: Of `parameters`, None for those that the loss does not depend on.
        """
        products = {
            id(parameter): (_dense(gradient).conj() * parameter).real
            for parameter, gradient in zip(self.parameters, gradients, strict=True)
            if gradient is not None
        }
        for group in self._units.groups:
            change = torch.zeros(group.size, dtype=torch.float64)
            for place, axis in self._read[group.name]:
                if id(place.tensor) in products:
                    change += sum_by_unit(products[id(place.tensor)], axis, place.axes[axis], group)
            self._totals[group.name] += change.square()

    def scores(self) -> Mapping[str, Tensor]:
        """Return what was summed up, by the name of the group."""
        return self._totals


def _find_norms(units: Units, group: Group, *, is_read: bool) -> list[Tensor]:
    """Return the norms of the weights that read a group's units, or of the other ones; biases where there are none."""
    every = [
        (place, axis)
        for place in units.places
        if place.is_parameter
        for axis in place.axes_of(group)
        if (axis == place.summed) == is_read
    ]
    weights = [(place, axis) for place, axis in every if place.tensor.dim() > 1] or every
    squares = (sum_by_unit(place.tensor.abs().square(), axis, place.axes[axis], group) for place, axis in weights)
    return [each.sqrt() for each in squares]


def _average(norms: Sequence[Tensor], group: Group) -> Tensor:
    """Return the mean of norms, each in units of its own mean; 1 where there are none, or all of them are 0."""
    scaled = [each / each.mean() for each in norms if each.any()]
    return torch.stack(scaled).mean(0) if scaled else torch.ones(group.size, dtype=torch.float64)


def _find_read(units: Units, group: Group) -> list[tuple[Place, int]]:
    """Return the parameters that read a group's units, with the axis; all of the group's where none is known to."""
    every = [(place, axis) for place in units.places if place.is_parameter for axis in place.axes_of(group)]
    return [(place, axis) for place, axis in every if axis == place.summed] or every


def _dense(gradient: Tensor) -> Tensor:
    return gradient.to_dense() if gradient.is_sparse else gradient
