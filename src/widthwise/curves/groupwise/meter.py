"""What networks cost, told without making them where that can be."""

from collections.abc import Callable, Sequence
from typing import Protocol, final

from torch import nn

from widthwise.curves.grid import HasWidths, Width
from widthwise.curves.groupwise.budget import limited_costs
from widthwise.curves.groupwise.lattice import Lattice, Load, Units
from widthwise.curves.pick import Limits
from widthwise.curves.point import Point
from widthwise.measure import count_parameters
from widthwise.slicing.formats import exported_bytes

__all__ = ["Meter", "Outlined"]


class Outlined(HasWidths, Protocol):
    """What is asked of a model to count what its networks cost."""

    def outline(self, width: Width, /) -> nn.Module:
        """Return the tensors of the network at a width, without numbers."""
        ...

    def macs(self, width: Width, /) -> int:
        """Return the MACs of one sample at a width."""
        ...

    def memory_bytes(self, width: Width, /) -> int:
        """Return the most bytes that the values of one pass of one sample take at a time, at a width."""
        ...


@final
class Meter:
    """Costs of the networks of a model, each counted once.

    Parameters and bytes are counted on outlines. Where those of `checks` have other numbers than were measured there,
    as under a spectral norm, which extraction resolves, networks are extracted to be counted.

    Args:
        model: The model.
        lattice: Its widths.
        checks: Points that were measured on extracted networks.
        extract: Makes the network at given widths.
        time: Measures the latency there, in milliseconds.
    """

    def __init__(
        self,
        model: Outlined,
        lattice: Lattice,
        checks: Sequence[Point],
        *,
        extract: Callable[[Units], nn.Module],
        time: Callable[[Units], float],
    ) -> None:
        self._model = model
        self._lattice = lattice
        self._extract = extract
        self._time = time
        self._known: dict[tuple[str, Units], float] = {}
        self.is_outlined = all(
            count_parameters(outline) == point.params and exported_bytes(outline, point.widths) == point.bytes
            for point in checks
            for outline in (model.outline(point),)
        )

    def cost(self, name: str, units: Units) -> float:
        """Return the "params", "macs", "bytes", "latency_ms" or "memory_bytes" of the network at these widths."""
        if (name, units) not in self._known:
            self._known |= {(each, units): cost for each, cost in self._measure(name, units).items()}
        return self._known[name, units]

    def load(self, budget: Limits) -> Load:
        """Return a function of widths: their cost as a share of the budget, the largest share of several costs."""
        limits = limited_costs(budget)
        return lambda units: max(self.cost(name, units) / limit for name, limit in limits.items())

    def _measure(self, name: str, units: Units) -> dict[str, float]:
        widths = self._lattice.name(units)
        if name == "macs":
            return {name: self._model.macs(widths)}
        if name == "memory_bytes":
            return {name: self._model.memory_bytes(widths)}
        if name == "latency_ms":
            return {name: self._time(units)}
        net = self._model.outline(widths) if self.is_outlined else self._extract(units)
        return {"params": count_parameters(net), "bytes": exported_bytes(net, widths)}
