"""The order in which the units of a network stand, as it is changed step by step."""

from collections.abc import Mapping
from dataclasses import replace
from typing import final

import torch
from torch import Tensor

from widthwise._shared import GroupError
from widthwise.elastic.engines.engine import Engine
from widthwise.slicing import permute

__all__ = ["Arrangement"]


@final
class Arrangement:
    """Puts the units of a network in order, in place.

    Args:
        engine: Of the network.
        optimizer: What it keeps of the parameters moves along; None for none.

    Attributes:
        orders: By the name of the group, where each unit stood at first.
    """

    def __init__(self, engine: Engine, optimizer: torch.optim.Optimizer | None) -> None:
        self._engine = engine
        self._optimizer = optimizer
        self.orders = {name: torch.arange(size) for name, size in engine.groups.sizes.items()}

    def sort(self, scores: Mapping[str, Tensor], lengths: Mapping[str, int]) -> None:
        """Sort the first units of groups, those with the highest scores first; fixed groups stay as they are.

        Args:
            scores: Of every unit where it stands now, by the name of its group.
            lengths: How many of the first units are sorted, by the name of the group; others stay as they are.

        Raises:
            GroupError: A score is not finite, or the optimiser keeps what cannot be sorted.
        """
        fixed = self._engine.units().fixed
        self._permute(
            {name: _sort_prefix(name, scores[name], length) for name, length in lengths.items() if name not in fixed}
        )

    def undo(self) -> None:
        """Put every unit back to where it stood at first."""
        self._permute({name: order.argsort() for name, order in self.orders.items()})

    def _permute(self, orders: Mapping[str, Tensor]) -> None:
        units = self._engine.units()
        units = replace(units, places=(*units.places, *self._engine.own_places()))
        permute(units, orders, self._optimizer)
        for name, order in orders.items():
            self.orders[name] = self.orders[name][order]


def _sort_prefix(name: str, scores: Tensor, length: int) -> Tensor:
    if not scores[:length].isfinite().all():
        raise GroupError(
            f"importances must be finite, got some of {name} that are not; look for NaN or infinity in the parameters "
            "and the samples"
        )
    rest = torch.arange(length, len(scores))
    return torch.cat([scores[:length].argsort(descending=True, stable=True), rest])
