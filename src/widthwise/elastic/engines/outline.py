"""The outline of a network: its tensors at other sizes, empty, so that they can be counted without being cut."""

from collections.abc import Mapping, Sequence

import torch
from torch import nn

__all__ = ["outline_network"]


def outline_network(net: nn.Module, shapes: Mapping[str, Sequence[int]]) -> nn.Module:
    """Return a module with the parameters and buffers of `net` on the meta device, tied ones tied; it cannot run.

    Args:
        net: The network.
        shapes: The shapes of those that differ from `net`, by name.

    Example:
        >>> outline_network(nn.Linear(8, 64), {"weight": [16, 8], "bias": [16]}).weight
        Parameter containing:
        tensor(..., device='meta', size=(16, 8), requires_grad=True)
    """
    fresh: dict[int, torch.Tensor] = {}

    def resized(name: str, tensor: torch.Tensor) -> torch.Tensor:
        if id(tensor) not in fresh:
            empty = torch.empty(tuple(shapes.get(name, tensor.shape)), dtype=tensor.dtype, device="meta")
            is_parameter = isinstance(tensor, nn.Parameter)
            fresh[id(tensor)] = nn.Parameter(empty, requires_grad=tensor.requires_grad) if is_parameter else empty
        return fresh[id(tensor)]

    outline = nn.Module()
    for path, module in net.named_modules(remove_duplicate=False):
        place = outline if not path else nn.Module()
        if path:
            parent, _, own = path.rpartition(".")
            outline.get_submodule(parent).add_module(own, place)
        prefix = f"{path}." if path else ""
        for name, parameter in module.named_parameters(recurse=False, remove_duplicate=False):
            place.register_parameter(name, resized(prefix + name, parameter))  # pyright: ignore[reportArgumentType]
        transient = module._non_persistent_buffers_set  # pyright: ignore[reportPrivateUsage]
        for name, buffer in module.named_buffers(recurse=False, remove_duplicate=False):
            place.register_buffer(name, resized(prefix + name, buffer), persistent=name not in transient)
    return outline
