"""Plain networks as the writers of formats take them."""

from typing import Any

import torch
from torch import Tensor, nn

from widthwise.graph import Example
from widthwise.slicing.formats import Plain

FACTS = {"widths": '{"0": 5}', "made_by": "widthwise of a test"}


class Mixer(nn.Module):
    """Takes three inputs by name, one of them nested, and returns a dict; no two of them are read alike."""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.side, self.head = nn.Linear(4, 6), nn.Linear(3, 6), nn.Linear(6, 2)
        self.register_buffer("scale", torch.tensor([1.0, 2.0]), persistent=False)

    def forward(self, x: Tensor, extra: dict[str, Tensor], gate: Tensor) -> dict[str, Any]:
        hidden = torch.relu(self.fc(x)) - torch.sigmoid(self.side(extra["more"])) * gate
        return {"hidden": hidden, "logits": [self.head(hidden) * self.scale]}


def make_net() -> nn.Sequential:
    """A multi-layer perceptron."""
    return nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3)).eval()


def make_plain(net: nn.Module | None = None) -> Plain:
    """A network of one input with four features."""
    return Plain(net=net or make_net(), example=batch_of(2), batch_axes=[0], facts=FACTS)


def make_tied() -> nn.Sequential:
    """Two layers that are one tensor under two names."""
    net = nn.Sequential(nn.Linear(4, 4, bias=False), nn.ReLU(), nn.Linear(4, 4, bias=False)).eval()
    net[2].weight = net[0].weight
    return net


def make_mixer() -> Plain:
    """A network of inputs by name, in another order than in its signature."""
    return Plain(net=Mixer().eval(), example=named_batch_of(2), batch_axes=[0, 0, 0], facts=FACTS)


def batch_of(num_samples: int, *, dtype: torch.dtype = torch.float32) -> Example:
    """Random inputs of four features."""
    return Example(args=(torch.randn(num_samples, 4).to(dtype),), kwargs={})


def named_batch_of(num_samples: int) -> Example:
    """Random inputs of a mixer."""
    gate, more, x = (torch.randn(num_samples, size) for size in (1, 3, 4))
    return Example(args=(), kwargs={"gate": gate, "extra": {"more": more}, "x": x})
