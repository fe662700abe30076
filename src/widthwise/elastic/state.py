"""The tensors of an elastic model that are no parameters of its network: what is saved beside the weights."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from widthwise._shared import WidthError

__all__ = ["adopt_keys", "collect_state", "load_state"]

_OWN = ("unit_affine", "octave_weights")


def collect_state(model: nn.Module) -> dict[str, Tensor]:
    """Return the tensors by their names in the model."""
    found: dict[str, Tensor] = {}
    for name, module in model.named_children():
        if name in _OWN:
            found |= module.state_dict(prefix=f"{name}.")
    return found | dict(model.named_buffers(recurse=False))


def load_state(model: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Load what `collect_state` gave.

    Raises:
        WidthError: The tensors are those of another model or setting.
    """
    own = collect_state(model)
    if {name: t.shape for name, t in own.items()} != {name: t.shape for name, t in state.items()}:
        raise WidthError(
            f"expected the elastic state {_describe(own)}, got {_describe(state)}; "
            "build the model with the settings it was saved with"
        )
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(state[name])


def adopt_keys(module: nn.Module, state_dict: dict[str, Any], prefix: str, *_: Any) -> None:
    """Let a module that contains an elastic model load the keys that its state dict has: those of the network."""
    for key in [key for key in state_dict if key.startswith(prefix)]:
        state_dict[f"{prefix}net.{key[len(prefix) :]}"] = state_dict.pop(key)
    for key, tensor in collect_state(module).items():
        # Saved apart; loading them onto themselves keeps a strict parent from missing them.
        state_dict[prefix + key] = tensor
    module.__dict__["awaits_state"] = True


def _describe(state: Mapping[str, Tensor]) -> str:
    return "{" + ", ".join(f"{name}: {tuple(tensor.shape)}" for name, tensor in sorted(state.items())) + "}"
