"""Put the units of a network in another order, in place.

Whatever holds something of a unit moves with it: parameters, their gradients, buffers, and what an optimiser keeps. So
the network computes what it did, and one more step of the optimiser takes it where it would have gone.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from widthwise._shared import GroupError
from widthwise.graph import Axes, Frozen, size_of
from widthwise.slicing.running.cut import cut
from widthwise.slicing.units import Place, Units

__all__ = ["permute"]

Moved = tuple[Tensor, Axes]


@torch.no_grad()
def permute(units: Units, orders: Mapping[str, Tensor], optimizer: torch.optim.Optimizer | None = None) -> None:
    """Put units in another order, in place.

    Args:
        units: Those of the network.
        orders: By the name of a group, which unit comes first, second and so on; other groups stay as they are.
        optimizer: What it keeps of each entry of a parameter, or of each row or column of one, moves along.

    Raises:
        GroupError: An order is none, or the units of its group are fixed; or the optimiser keeps something of another
            shape. Nothing is changed then.
    """
    for name, order in orders.items():
        _check(units, name, order)
    kept = {units.groups[name].key: order.cpu() for name, order in orders.items()}
    touched = [place for place in units.places if any(place.axes_of(units.groups[name]) for name in orders)]
    moved = [each for place in touched for each in _list_moved(place, optimizer)]
    # Tied parameters may be two objects with one memory.
    for tensor, axes in {_memory(tensor): (tensor, axes) for tensor, axes in moved}.values():
        tensor.copy_(cut(tensor, axes, kept))


def _check(units: Units, name: str, order: Tensor) -> None:
    size = units.groups[name].size
    if name in units.fixed and not torch.equal(order.cpu(), torch.arange(size)):
        raise GroupError(
            f"the units of {name} must stay in their order ({units.fixed[name]}), got another one; leave them out"
        )
    if not torch.equal(order.cpu().sort().values, torch.arange(size)):
        raise GroupError(
            f"an order of {name} must hold each of 0 to {size - 1} once, got {order.tolist()}; make it by argsort"
        )


def _list_moved(place: Place, optimizer: torch.optim.Optimizer | None) -> Iterator[Moved]:
    """Yield a tensor and all that has its shape, or is a row or a column of it."""
    tensor = place.tensor
    yield tensor, place.axes
    if tensor.is_leaf and tensor.grad is not None:
        yield tensor.grad, place.axes
    kept: Mapping[str, Any] = {} if optimizer is None else optimizer.state.get(tensor, {})
    for name, value in kept.items():
        if isinstance(value, Tensor) and value.numel() > 1:
            yield value, _fit(value, place, name, type(optimizer).__name__)


def _fit(value: Tensor, place: Place, name: str, optimizer: str) -> Axes:
    full = place.tensor.shape
    pairs = zip(value.shape, full, strict=False)
    if value.dim() != len(full) or not all(size in (1, whole) for size, whole in pairs):
        raise GroupError(
            f"an optimizer must keep tensors of the shapes of parameters, got {name} of shape {tuple(value.shape)} for "
            f"one of {tuple(full)} in {optimizer}; sort before it is made, or leave out optimizer= and make it anew"
        )
    return tuple(
        term if size_of(term) == size else Frozen(size, "summed by the optimiser")
        for term, size in zip(place.axes, value.shape, strict=True)
    )


def _memory(tensor: Tensor) -> object:
    return id(tensor) if tensor.is_meta else (tensor.data_ptr(), tuple(tensor.shape), tensor.stride())
