"""Networks whose modules remember sizes of attention and of recurrent layers, as users write them; and samplers."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.networks import LAW, make_generator, randomize
from widthwise.elastic import Elastic

__all__ = [
    "NETWORKS",
    "Config",
    "Encoder",
    "FusedGPT",
    "Grouped",
    "Inner",
    "Merged",
    "Reader",
    "Speller",
    "Stepper",
    "Swapped",
    "elastic",
    "sample",
]


class FusedGPT(nn.Module):
    """Two causal blocks with one layer for query, key and value, cut by a remembered size."""

    class Attention(nn.Module):
        def __init__(self, width: int, heads: int) -> None:
            super().__init__()
            self.n_head, self.n_embd, self.split_size, self.head_dim = heads, width, width, width // heads
            self.c_attn, self.c_proj = nn.Linear(width, 3 * width), nn.Linear(width, width)

        def forward(self, x: Tensor) -> Tensor:
            shape = (*x.shape[:2], self.n_head, self.head_dim)
            query, key, value = (part.view(shape).transpose(1, 2) for part in self.c_attn(x).split(self.split_size, 2))
            mixed = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
            return self.c_proj(mixed.transpose(1, 2).reshape(*x.shape[:2], self.split_size))

    def __init__(self, width: int = 12, heads: int = 3) -> None:
        super().__init__()
        self.n_layer, self.n_embd = 2, width
        self.table = nn.Embedding(7, width)
        self.attend = nn.ModuleList(self.Attention(width, heads) for _ in range(2))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(4))
        self.up = nn.ModuleList(nn.Linear(width, 20) for _ in range(2))
        self.down = nn.ModuleList(nn.Linear(20, width) for _ in range(2))
        self.head = nn.Linear(width, 7)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.table(tokens)
        for i in range(self.n_layer):
            x = x + self.attend[i](self.norms[2 * i](x))
            x = x + self.down[i](functional.gelu(self.up[i](self.norms[2 * i + 1](x))))
        return self.head(x)


@dataclass(frozen=True)
class Config:
    """Sizes of a network with grouped heads."""

    dim: int = 24
    n_heads: int = 6
    n_kv_heads: int = 2
    head_dim: int = 4
    hidden: int = 10


class Grouped(nn.Module):
    """Queries that share keys, sizes read from a config when it runs, and a scale that is a number of its own."""

    def __init__(self, config: Config | None = None) -> None:
        super().__init__()
        c = self.config = config or Config()
        self.scale = c.head_dim**-0.5
        self.embed = nn.Linear(5, c.dim)
        self.wq, self.wo = nn.Linear(c.dim, c.n_heads * c.head_dim), nn.Linear(c.n_heads * c.head_dim, c.dim)
        self.wk, self.wv = (nn.Linear(c.dim, c.n_kv_heads * c.head_dim) for _ in range(2))
        self.gate, self.up = nn.Linear(c.dim, c.hidden), nn.Linear(c.dim, c.hidden)
        self.down = nn.Linear(c.hidden, c.dim)
        self.head = nn.Linear(c.dim, 3)

    def forward(self, x: Tensor) -> Tensor:
        c, (batch, length, _) = self.config, x.shape
        x = self.embed(x)
        query = self.wq(x).view(batch, length, c.n_heads, c.head_dim).transpose(1, 2)
        key, value = (
            layer(x).view(batch, length, c.n_kv_heads, c.head_dim).transpose(1, 2) for layer in (self.wk, self.wv)
        )
        key, value = (part.repeat_interleave(c.n_heads // c.n_kv_heads, 1) for part in (key, value))
        scores = (query @ key.transpose(-1, -2)) * self.scale
        mixed = (scores.softmax(-1) @ value).transpose(1, 2).reshape(batch, length, c.n_heads * c.head_dim)
        x = x + self.wo(mixed)
        x = x + self.down(functional.silu(self.gate(x)) * self.up(x))
        return self.head(x)


class Inner(nn.Module):
    """Attention of which only the head count and the product of heads and their width are remembered."""

    def __init__(self) -> None:
        super().__init__()
        self.heads, self.inner_dim, self.sizes = 4, 20, {"wide": 4 * 5}
        self.stem = nn.Linear(6, 9)
        self.to_qkv, self.out = nn.Linear(9, 60, bias=False), nn.Linear(20, 9)
        self.head = nn.Linear(9, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        parts = self.to_qkv(x).chunk(3, dim=-1)
        width = self.inner_dim // self.heads
        query, key, value = (part.unflatten(-1, (self.heads, width)).transpose(1, 2) for part in parts)
        scores = torch.softmax(query @ key.transpose(-1, -2) * 5**-0.5, -1)
        mixed = (scores @ value).transpose(1, 2).flatten(2)
        assert mixed.shape[-1] == self.sizes["wide"]
        return self.head(torch.relu(self.out(mixed)))


class Encoder(nn.Module):
    """PyTorch's own transformer layers."""

    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(12, 3, 16, batch_first=True)
        self.embed, self.encoder = nn.Linear(5, 12), nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(12, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.encoder(self.embed(x)))


class Reader(nn.Module):
    """A stacked LSTM in both directions, and a GRU on its outputs from zeros of a remembered width."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden_size = 6
        self.lstm = nn.LSTM(4, 5, num_layers=2, bidirectional=True, batch_first=True)
        self.gru = nn.GRU(10, self.hidden_size, batch_first=True)
        self.head = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        zeros = x.new_zeros(1, x.shape[0], self.hidden_size)
        return self.head(self.gru(self.lstm(x)[0], zeros)[0])


class Stepper(nn.Module):
    """Recurrent cells, an LSTM with a projection and a plain RNN."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.gru = nn.LSTMCell(4, 7), nn.GRUCell(7, 5)
        self.projected, self.plain = nn.LSTM(5, 8, proj_size=3, batch_first=True), nn.RNN(3, 6, batch_first=True)
        self.head = nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        hidden, cell = self.lstm(x)
        state = self.gru(hidden + cell)
        return self.head(self.plain(self.projected(state[:, None])[0])[0][:, 0])


class Merged(nn.Module):
    """Heads in the batch axis, and sizes in a list."""

    def __init__(self) -> None:
        super().__init__()
        self.split, self.num_heads, self.shift = [3, 4], 3, (2, 2)
        self.embed, self.qkv, self.out = nn.Linear(5, 6), nn.Linear(6, 36), nn.Linear(12, 6)
        self.head = nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.embed(x))
        qkv = self.qkv(x).reshape(*x.shape[:2], 3, *self.split).permute(2, 0, 3, 1, 4)
        query, key, value = qkv.reshape(3, x.shape[0] * self.num_heads, x.shape[1], -1)
        mixed = torch.bmm(torch.softmax(torch.bmm(query, key.mT) / 2, -1), value)
        mixed = mixed.view(x.shape[0], self.num_heads, x.shape[1], -1).transpose(1, 2).flatten(2)
        return self.head(x + self.out(mixed))


class Swapped(nn.Module):
    """As many heads as each is wide, and as there are layers."""

    def __init__(self) -> None:
        super().__init__()
        self.num_layers, self.num_heads, self.head_dim, self.width = 4, 4, 4, 16
        self.embed = nn.Linear(5, 10)
        self.qkv, self.out = nn.Linear(10, 48), nn.Linear(16, 10)
        self.head = nn.Linear(10, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x)
        for _ in range(self.num_layers):
            qkv = self.qkv(x).view(*x.shape[:2], 3, self.num_heads, self.head_dim).permute(2, 0, 3, 1, 4)
            mixed = functional.scaled_dot_product_attention(qkv[0], qkv[1], qkv[2])
            x = x + self.out(mixed.transpose(1, 2).reshape(*x.shape[:2], self.width))
        return self.head(x)


class Speller(nn.Module):
    """Attention between two sequences, with keys and values of widths of their own."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.keys = nn.Linear(5, 8), nn.Linear(4, 6)
        self.attend = nn.MultiheadAttention(8, 2, kdim=6, vdim=6, batch_first=True)
        self.head = nn.Linear(8, 3)

    def forward(self, x: Tensor, memory: Tensor) -> Any:
        memory = torch.relu(self.keys(memory))
        mixed, weights = self.attend(torch.relu(self.embed(x)), memory, memory)
        return self.head(mixed), weights


Shapes = tuple[tuple[int, ...], ...]
# Each network with the shapes of its inputs after the batch; tokens where that is None.
NETWORKS: dict[Callable[[], nn.Module], Shapes | None] = {
    FusedGPT: None,
    Grouped: ((7, 5),),
    Inner: ((7, 6),),
    Encoder: ((7, 5),),
    Reader: ((7, 4),),
    Stepper: ((4,),),
    Merged: ((7, 5),),
    Swapped: ((7, 5),),
    Speller: ((7, 5), (2, 4)),
}


def sample(kind: Callable[[], nn.Module], batch: int) -> tuple[Tensor, ...]:
    """Inputs of a network."""
    shapes, generator = NETWORKS[kind], make_generator(batch)
    if shapes is None:
        return (torch.randint(0, 7, (batch, 5), generator=generator),)
    return tuple(torch.randn(batch, *shape, generator=generator, dtype=torch.float64) for shape in shapes)


@cache
def elastic(kind: Callable[[], nn.Module]) -> Elastic:
    """A network in float64, whose stream may shrink; shared between tests."""
    net = kind().double().eval()
    randomize(net, 0)
    return Elastic(net, sample(kind, 3), law=LAW, stream=True)
