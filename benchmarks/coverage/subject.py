"""A subject: one network of a zoo, how it is built, and what it is called with."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils import _pytree as pytree

__all__ = ["Inputs", "Only", "Subject", "disturb", "run_network"]

Inputs = tuple[Any, ...] | dict[str, Any]

# Noise on parameters that all have one value at first, such as zeros, which would hide what is multiplied by them.
_NOISE = 0.05


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """One network of a zoo.

    Attributes:
        zoo: "torchvision", "timm", "transformers" or "own".
        name: Its name there.
        build: Gives the network at random initial values, and inputs of two samples.
        on_meta: Whether it is too large to be filled with numbers: only shapes are compared.
    """

    zoo: str
    name: str
    build: Callable[[], tuple[nn.Module, Inputs]]
    on_meta: bool = False

    def make(self, *, on_meta: bool | None = None) -> tuple[nn.Module, Inputs]:
        """Return the network in evaluation mode, and its inputs; equal ones at every call."""
        torch.manual_seed(0)
        if not (self.on_meta if on_meta is None else on_meta):
            net, inputs = self.build()
            return disturb(net.eval()), inputs
        with _without_numbers():
            net, inputs = self.build()
        return net.eval(), pytree.tree_map_only(torch.Tensor, lambda leaf: leaf.to("meta"), inputs)


class Only(nn.Module):
    """One output of a Hugging Face model, by name: the others would hold their axes at full size."""

    def __init__(self, net: nn.Module, field: str) -> None:
        super().__init__()
        self.net = net
        self.field = field

    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        decoder_input_ids: torch.Tensor | None = None,
        pixel_values: torch.Tensor | None = None,
        input_features: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Return that output."""
        inputs = {
            "input_ids": input_ids,
            "decoder_input_ids": decoder_input_ids,
            "pixel_values": pixel_values,
            "input_features": input_features,
        }
        given = {name: value for name, value in inputs.items() if value is not None}
        return getattr(self.net(**given), self.field)


def disturb(net: nn.Module) -> nn.Module:
    """Add noise to parameters and running means whose entries are all equal; return the network."""
    generator = torch.Generator().manual_seed(1)
    means = [buffer for name, buffer in net.named_buffers() if name.endswith("running_mean")]
    with torch.no_grad():
        for tensor in [*net.parameters(), *means]:
            if (
                not tensor.is_meta
                and tensor.is_floating_point()
                and tensor.numel() > 1
                and tensor.min() == tensor.max()
            ):
                tensor.add_(_NOISE * torch.randn(tensor.shape, generator=generator).to(tensor.dtype))
    return net


def run_network(net: nn.Module, inputs: Inputs) -> Any:  # noqa: ANN401 whatever the network yields
    """Return what a network yields for inputs, without gradients."""
    with torch.no_grad():
        return net(**inputs) if isinstance(inputs, dict) else net(*inputs)


@contextmanager
def _without_numbers() -> Iterator[None]:
    """Let modules hold their parameters and buffers on the meta device.

    Under `torch.device("meta")` a network could not work with tensors of its own to find its sizes.
    """
    add_parameter, add_buffer = nn.Module.register_parameter, nn.Module.register_buffer

    def register_parameter(module: nn.Module, name: str, param: nn.Parameter | None) -> None:
        bare = None if param is None else nn.Parameter(param.to("meta"), requires_grad=param.requires_grad)
        add_parameter(module, name, bare)

    def register_buffer(module: nn.Module, name: str, tensor: torch.Tensor | None, persistent: bool = True) -> None:
        add_buffer(module, name, None if tensor is None else tensor.to("meta"), persistent)

    nn.Module.register_parameter, nn.Module.register_buffer = register_parameter, register_buffer
    try:
        yield
    finally:
        nn.Module.register_parameter, nn.Module.register_buffer = add_parameter, add_buffer
