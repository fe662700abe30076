"""A small GPT in the way it is written by hand: one projection for queries, keys and values, and a tied head."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["SmallGPT"]


class SmallGPT(nn.Module):
    """Learned positions, pre-norm blocks, the embedding as the last layer's weight."""

    def __init__(self, *, vocabulary: int, width: int, num_heads: int, num_blocks: int, context: int) -> None:
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, width)
        self.positions = nn.Embedding(context, width)
        self.blocks = nn.ModuleList(_Block(width, num_heads, context) for _ in range(num_blocks))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, vocabulary, bias=False)
        self.head.weight = self.tokens.weight

    def forward(self, tokens_BT: Tensor) -> Tensor:
        place_T = torch.arange(tokens_BT.shape[1], device=tokens_BT.device)
        x_BTF = self.tokens(tokens_BT) + self.positions(place_T)
        for block in self.blocks:
            x_BTF = block(x_BTF)
        return self.head(self.norm(x_BTF))


class _Block(nn.Module):
    def __init__(self, width: int, num_heads: int, context: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attention = _Attention(width, num_heads, context)
        self.norm2 = nn.LayerNorm(width)
        self.feed_forward = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x_BTF: Tensor) -> Tensor:
        x_BTF = x_BTF + self.attention(self.norm1(x_BTF))
        return x_BTF + self.feed_forward(self.norm2(x_BTF))


class _Attention(nn.Module):
    def __init__(self, width: int, num_heads: int, context: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.width = width
        self.project_in = nn.Linear(width, 3 * width)
        self.project_out = nn.Linear(width, width)
        self.register_buffer("causal", torch.tril(torch.ones(context, context)).view(1, 1, context, context))

    def forward(self, x_BTF: Tensor) -> Tensor:
        B, T, F = x_BTF.shape
        query, key, value = (
            part.view(B, T, self.num_heads, F // self.num_heads).transpose(1, 2)
            for part in self.project_in(x_BTF).split(self.width, dim=2)
        )
        scores_BHTT = query @ key.transpose(-2, -1) * (1.0 / math.sqrt(key.size(-1)))
        scores_BHTT = scores_BHTT.masked_fill(self.causal[:, :, :T, :T] == 0, float("-inf"))
        y_BHTD = functional.softmax(scores_BHTT, dim=-1) @ value
        return self.project_out(y_BHTD.transpose(1, 2).contiguous().view(B, T, F))
