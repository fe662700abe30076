"""Networks whose Python looks at values, so that no trace can follow them, with their groups named."""

from typing import Any

import torch
from torch import Tensor, nn

from widthwise.elastic import Elastic

FEED_FORWARD = {"{}.fc1.weight": "n _", "{}.fc1.bias": "n", "{}.norm.weight": 0, "{}.norm.bias": 0, "{}.fc2.weight": 1}
HEADS = {
    "{}.qkv.weight": "(3 n 4) _",
    "{}.qkv.bias": "(3 n 4)",
    "{}.proj.weight": "_ (n 4)",
    "{}.num_heads": "n",
}


class Block(nn.Module):
    """A transformer block whose Python looks at values, so that no trace can follow it."""

    def __init__(self, width: int = 8, num_heads: int = 4) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.qkv, self.proj = nn.Linear(width, 12 * num_heads), nn.Linear(4 * num_heads, width)
        self.fc1, self.norm, self.fc2 = nn.Linear(width, 16), nn.LayerNorm(16), nn.Linear(16, width)

    def forward(self, x: Tensor) -> Tensor:
        batch, length, _ = x.shape
        q, k, v = self.qkv(x).view(batch, length, 3, self.num_heads, 4).permute(2, 0, 3, 1, 4)
        mixed = nn.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(batch, length, -1)
        x = x + self.proj(mixed)
        if x.detach().abs().max().item() > 0.5:
            x = x + self.fc2(self.norm(self.fc1(x)).relu())
        return x


def make_net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(Block(), Block(), nn.Linear(8, 3)).eval()


def make_model(net: nn.Module | None = None, **settings: Any) -> Elastic:
    settings.setdefault("groups", [FEED_FORWARD, HEADS])
    return Elastic(net or make_net(), (torch.randn(4, 5, 8),), **settings)


class Convolutions(nn.Module):
    """A depthwise convolution between two others, with norms, behind a branch on values."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.norm1 = nn.Conv2d(3, 8, 1), nn.BatchNorm2d(8)
        self.depth, self.norm2 = nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.BatchNorm2d(8)
        self.head = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm1(self.a(x)).relu()
        y = self.norm2(self.depth(y)) if y.sum().item() >= 0 else y
        return self.head(y.mean((2, 3)))


def make_convolutions(**settings: Any) -> Elastic:
    torch.manual_seed(0)
    groups = [
        {
            "a.weight": 0, "a.bias": 0, "depth.weight": 0, "depth.bias": 0, "head.weight": 1,
            "norm*.weight": 0, "norm*.bias": 0, "norm*.running_*": 0,
        }
    ]  # fmt: skip
    return Elastic(Convolutions().eval(), (torch.randn(4, 3, 5, 5),), groups=groups, **settings)
