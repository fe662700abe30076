"""What a trap is made of."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn


class Network(nn.Module):
    """A network that is one function of its parts and inputs."""

    def __init__(self, function: Callable[..., Any], **parts: Any) -> None:
        super().__init__()
        for name, part in parts.items():
            if isinstance(part, Tensor) and not isinstance(part, nn.Parameter):
                self.register_buffer(name, part)
            else:
                setattr(self, name, part)
        self.function = function

    def forward(self, *inputs: Any) -> Any:
        return self.function(self, *inputs)


@dataclass(frozen=True, kw_only=True, slots=True)
class Trap:
    """A network to be made, an input for it, and what is to be found: groups by name, or why there are none."""

    function: Callable[..., Any]
    parts: Callable[[], dict[str, Any]]
    shape: tuple[int, ...] = (3, 5)
    groups: Mapping[str, int] = field(default_factory=dict[str, int])
    reason: str = ""
    dtype: torch.dtype = torch.float32

    def make(self) -> tuple[Network, tuple[Tensor, ...]]:
        torch.manual_seed(0)
        x = torch.randint(0, 7, self.shape) if self.dtype is torch.int64 else torch.randn(self.shape)
        return Network(self.function, **self.parts()).eval(), (x,)


def mlp(**more: Any) -> Callable[[], dict[str, Any]]:
    """A hidden layer of 8 units, and more parts."""
    return lambda: {"a": nn.Linear(5, 8), "o": nn.Linear(8, 3), **{name: make() for name, make in more.items()}}


def cnn(channels: int = 8, **more: Any) -> Callable[[], dict[str, Any]]:
    """Two convolutions, and more parts."""
    return lambda: {
        "c": nn.Conv2d(3, channels, 3, padding=1), "d": nn.Conv2d(channels, 3, 3, padding=1),
        **{name: make() for name, make in more.items()},
    }  # fmt: skip


def table(*shape: int) -> Callable[[], nn.Parameter]:
    """A parameter of a shape."""
    return lambda: nn.Parameter(torch.randn(shape))
