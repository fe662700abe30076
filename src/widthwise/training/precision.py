"""In which numbers a training step is computed: autocast around the loss, and for float16 a scaled backward pass."""

import math
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal, cast, final

import torch
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler
from torch.optim import Optimizer

from widthwise.training.divergence import measure_gradients

__all__ = ["Precision", "PrecisionName"]

PrecisionName = Literal["float32", "bfloat16", "float16"]

_DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16}


@final
class Precision:
    """How the loss and its gradients are computed; weights, and the steps of the optimiser, are float32 in any case.

    Args:
        name: "float32" changes nothing, the others cast the large operators down. Small gradients vanish in float16,
            so the loss is multiplied by a factor that grows until something overflows [Micikevicius2018].
        device_type: Where it runs, "cpu" or "cuda".

    [Micikevicius2018]: Micikevicius et al., "Mixed Precision Training", ICLR 2018.
    """

    def __init__(self, name: PrecisionName, device_type: str) -> None:
        self._dtype = _DTYPES.get(name)
        self._device_type = device_type
        self._scaler = GradScaler(device_type) if name == "float16" else None

    def autocast(self) -> AbstractContextManager[object]:
        """Return the context in which the loss is computed."""
        if self._dtype is None:
            return nullcontext()
        return torch.autocast(self._device_type, dtype=self._dtype)

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of the loss to those that are there."""
        (loss if self._scaler is None else self._scaler.scale(loss)).backward()

    def step(self, optimiser: Optimizer, net: nn.Module, grad_clip: float | None) -> bool:
        """Return whether the optimiser took a step: it takes none where scaled gradients overflowed.

        Args:
            optimiser: Of the parameters of `net`.
            net: Whose gradients are clipped.
            grad_clip: The largest norm of them all together, None where there is none.

        Raises:
            FloatingPointError: Gradients that are not scaled are not finite; its text is their norm.
        """
        if self._scaler is not None:
            self._scaler.unscale_(optimiser)
        norm = float(measure_gradients(net, grad_clip))
        if self._scaler is None:
            if not math.isfinite(norm):
                raise FloatingPointError(str(norm))
            optimiser.step()
            return True
        before = self._scaler.get_scale()
        self._scaler.step(optimiser)
        self._scaler.update()
        return self._scaler.get_scale() >= before

    def state(self) -> dict[str, object]:
        """Return what `load_state` needs to go on from here: the factor, where there is one."""
        return {} if self._scaler is None else self._scaler.state_dict()

    def load_state(self, state: Mapping[str, object]) -> None:
        """Put the factor back to where `state` found it.

        Raises:
            KeyError: The state is that of another precision.
        """
        if self._scaler is not None:
            # An empty state is that of another precision, and torch raises something else for it.
            _ = state["scale"]
            self._scaler.load_state_dict(cast("dict[str, Any]", dict(state)))
