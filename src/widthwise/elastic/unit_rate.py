"""A learning rate and a weight decay for each unit, by how often it takes part in training.

A law draws the last units of a group seldom. They learn from few of the samples, and yet a decoupled weight decay
pulls at them in every step [Loshchilov and Hutter 2019, arXiv 1711.05101], at the ends of parameters that a step did
not use as much as at those that it did. Both can be set right after the step of any optimiser, knowing the parameters
before it: what it changed grows, and what the decay took shrinks, with the share of samples that a unit takes part in.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any, final

import torch
from torch import Tensor
from torch.optim import Optimizer

from widthwise._shared import GroupError, WidthError
from widthwise.elastic.engines.engine import Engine
from widthwise.elastic.exposure import measure_exposure
from widthwise.elastic.laws.law import Law
from widthwise.elastic.step import reached_groups
from widthwise.slicing import Place
from widthwise.slicing.units import number_units

__all__ = ["UnitRates"]

# Of a unit that is drawn less often than that nothing can be learned faster; some are never drawn.
_LEAST_SHARE = 0.01


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Shares:
    """By how much the positions of a parameter depart from those of units that take part always.

    One tensor per axis that holds units, to be broadcast against the parameter; the largest of them counts.

    Attributes:
        excess: The factor of the learning rate, less one.
        idle: The share of samples without the unit.
    """

    excess: list[Tensor]
    idle: list[Tensor]


@final
class UnitRates:
    """Corrects each step of an optimiser for units that are seldom drawn, from now on.

    A position of a parameter takes part as often as the most seldom of its units; under a law that shares one fraction
    among the groups these always come together, under others it takes part less often than that. Parameters without
    units are left as they are, and so are gains and biases per octave of width (`unit_affine`), which take part at
    their own octave only. There is no state to save. From the beginning of a step to its end a copy is held of the
    parameters that are corrected.

    Args:
        engine: Of the elastic model.
        law: From which training draws widths.
        optimizer: Any one that changes parameters in place; it may hold some of the model's parameters only.
        power: What a step changes, but for its weight decay, is multiplied by share^-power, with shares below 0.01
            counting as that. 0 for the rate as it is.
        decay: Whether decoupled weight decay is multiplied by the share.

    Raises:
        WidthError: `power` is out of its range.
        GroupError: The optimiser holds no parameter with units, or its weight decay is part of the gradient.
    """

    def __init__(
        self, engine: Engine, law: Law, optimizer: Optimizer, *, power: float = 0.5, decay: bool = True
    ) -> None:
        if isinstance(power, bool) or not isinstance(power, int | float) or not 0 <= power <= 1:
            raise WidthError(f"power must lie in [0, 1], got {power!r}; use 0 to leave learning rates as they are")
        places = {place.tensor: place for place in engine.units().places if place.is_parameter}
        held = [tensor for group in optimizer.param_groups for tensor in group["params"] if tensor in places]
        if not held:
            raise GroupError(
                "an optimizer must hold parameters with units of the model, got none of them; make it of "
                "model.parameters()"
            )
        if decay:
            _refuse_coupled(optimizer, places)
        self._decay = decay
        self._before: dict[Tensor, Tensor] = {}
        self._shares: dict[Tensor, _Shares] = {}
        self._handles = []
        if power or decay:
            exposure = measure_exposure(engine.groups, law, reached_groups(engine, law))
            self._shares = {tensor: _spread(places[tensor], engine, exposure, power) for tensor in held}
            self._handles = [
                optimizer.register_step_pre_hook(self._remember),
                optimizer.register_step_post_hook(self._correct),
            ]

    def remove(self) -> None:
        """Leave the steps of the optimiser as they are, from now on."""
        for handle in self._handles:
            handle.remove()

    def _remember(self, optimizer: Optimizer, args: object, kwargs: object) -> None:
        del args, kwargs
        held = [tensor for group in optimizer.param_groups for tensor in group["params"] if tensor in self._shares]
        self._before = {tensor: tensor.detach().clone() for tensor in held}

    @torch.no_grad()
    def _correct(self, optimizer: Optimizer, args: object, kwargs: object) -> None:
        del args, kwargs
        before, self._before = self._before, {}
        # A fused optimiser sees by itself that scaled gradients overflowed, and then takes no step.
        overflow = getattr(optimizer, "found_inf", None)
        if overflow is not None and bool(overflow):
            return
        for group in optimizer.param_groups:
            pull = group["lr"] * group["weight_decay"] if _is_decoupled(group) else None
            for tensor in group["params"]:
                # One without a gradient is skipped, decay and all.
                if tensor in before and tensor.grad is not None:
                    self._correct_one(tensor, before.pop(tensor), pull)

    def _correct_one(self, after: Tensor, before: Tensor, pull: float | Tensor | None) -> None:
        """Correct a parameter by adding to it, so that where nothing is to be corrected it stands bit for bit.

        Args:
            after: The parameter, after the step.
            before: What it was.
            pull: The part of it that decoupled weight decay took before the optimiser did anything else.
        """
        shares, learned = self._shares[after], after - before
        if pull is not None:
            decayed = before.mul_(pull)
            learned += decayed
            if self._decay:
                after += _largest(shares.idle, after) * decayed
        after += _largest(shares.excess, after) * learned


def _refuse_coupled(optimizer: Optimizer, places: Mapping[Tensor, Place]) -> None:
    for group in optimizer.param_groups:
        has_units = any(tensor in places for tensor in group["params"])
        if has_units and group.get("weight_decay", 0) and not _is_decoupled(group):
            raise GroupError(
                f"a weight decay to be corrected must be decoupled, got {group['weight_decay']} of "
                f"{type(optimizer).__name__}, which is part of the gradient; use torch.optim.AdamW, or decay=False"
            )


def _is_decoupled(group: Mapping[str, Any]) -> bool:
    """Whether an optimiser pulls at the parameters themselves, as AdamW does and others of torch can."""
    return bool(group.get("decoupled_weight_decay", False)) and group["weight_decay"] != 0


def _spread(place: Place, engine: Engine, exposure: Mapping[str, Tensor], power: float) -> _Shares:
    """Return the shares of the positions of a parameter, axis by axis."""
    excess: list[Tensor] = []
    idle: list[Tensor] = []
    for axis in range(place.tensor.dim()):
        share = _along(place, axis, engine, exposure)
        if share is None:
            continue
        shape = [-1 if other == axis else 1 for other in range(place.tensor.dim())]
        for found, values in ((excess, share.clamp(min=_LEAST_SHARE) ** -power - 1), (idle, 1 - share)):
            found.append(values.reshape(shape).to(place.tensor))
    return _Shares(excess=excess, idle=idle)


def _along(place: Place, axis: int, engine: Engine, exposure: Mapping[str, Tensor]) -> Tensor | None:
    """Return the share of each position along an axis, that of its most seldom unit; None where it holds no units."""
    groups = [group for group in engine.groups if axis in place.axes_of(group)]
    share = torch.ones(place.tensor.shape[axis], dtype=torch.float64)
    for group in groups:
        numbers = number_units(place.axes[axis], group)
        own = torch.where(numbers < 0, 1.0, exposure[group.name][numbers])
        share = torch.minimum(share, own)
    return share if groups else None


def _largest(values: list[Tensor], like: Tensor) -> Tensor:
    return reduce(torch.maximum, values).to(device=like.device, dtype=like.dtype)
