"""Networks to which width inference was once blind: part 2 of the notes, and what is mended of part 1 by a rule."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrizations, spectral_norm

from tests.traps.network import Trap, cnn, mlp, table

__all__ = ["OPERATORS"]


def _project(s: Any, x: Tensor) -> list[Tensor]:
    """Queries, keys and values (batch, 2 heads, positions, 4)."""
    return [m(x).view(x.shape[0], x.shape[1], 2, 4).transpose(1, 2) for m in (s.q, s.k, s.v)]


def _attend(s: Any, x: Tensor) -> Tensor:
    return s.o(functional.scaled_dot_product_attention(*_project(s, x)).transpose(1, 2).flatten(2))


def _attend_by_letters(s: Any, x: Tensor) -> Tensor:
    q, k, v = _project(s, x)
    weights = (torch.einsum("bhid,bhjd->bhij", q, k) * 0.5).softmax(-1)
    return s.o(torch.einsum("bhij,bhjd->bihd", weights, v).flatten(2))


def _attend_in_pieces(s: Any, x: Tensor) -> Tensor:
    """One projection of (3, heads, width), of which queries, keys and values are picked."""
    z = s.w(x).unflatten(-1, (3, 2, 4)).transpose(1, 3)
    return s.o(functional.scaled_dot_product_attention(z[:, :, 0], z[:, :, 1], z[:, :, 2]).transpose(1, 2).flatten(2))


def _share_keys(s: Any, x: Tensor, how: str) -> Tensor:
    b, t, _ = x.shape
    q = s.q(x).view(b, t, 4, 4).transpose(1, 2)
    k, v = (m(x).view(b, t, 2, 4).transpose(1, 2) for m in (s.k, s.v))
    if how == "in place":
        k, v = k.repeat_interleave(2, 1), v.repeat_interleave(2, 1)
    elif how == "side by side":
        k, v = k.repeat(1, 2, 1, 1), v.repeat(1, 2, 1, 1)
    y = functional.scaled_dot_product_attention(q, k, v, enable_gqa=how == "by the operator")
    return s.o(y.transpose(1, 2).flatten(2))


def _share(how: str, groups: dict[str, int]) -> Trap:
    return Trap(
        function=lambda s, x: _share_keys(s, x, how), shape=(3, 6, 5), groups=groups,
        parts=lambda: {"q": nn.Linear(5, 16), "k": nn.Linear(5, 8), "v": nn.Linear(5, 8), "o": nn.Linear(16, 3)},
    )  # fmt: skip


def _rotate(y: Tensor) -> Tensor:
    """Rotary positions of pairs that lie side by side."""
    angles = torch.arange(y.shape[-2])[:, None] * 0.3
    even, odd = y[..., ::2], y[..., 1::2]
    return torch.stack(
        (even * angles.cos() - odd * angles.sin(), even * angles.sin() + odd * angles.cos()), -1
    ).flatten(-2)


def _rotate_halves(y: Tensor) -> Tensor:
    one, other = y.chunk(2, -1)
    return y * 0.8 + torch.cat((-other, one), -1) * 0.6


def _rotate_as_complex(y: Tensor) -> Tensor:
    pairs = torch.view_as_complex(y.unflatten(-1, (-1, 2)).contiguous())
    return torch.view_as_real(pairs * torch.complex(torch.zeros(1), torch.ones(1))).flatten(-2)


def _attend_rotated(s: Any, x: Tensor, rotate: Any) -> Tensor:
    q, k, v = _project(s, x)
    return s.o(functional.scaled_dot_product_attention(rotate(q), rotate(k), v, scale=0.5).transpose(1, 2).flatten(2))


def _heads() -> dict[str, Any]:
    return {"q": nn.Linear(5, 8), "k": nn.Linear(5, 8), "v": nn.Linear(5, 8), "o": nn.Linear(8, 3)}


def _choose_experts(s: Any, x: Tensor) -> Tensor:
    weight, chosen = s.r(x).softmax(-1).topk(2)
    hidden = torch.einsum("bd,bkhd->bkh", x, s.w1[chosen]).relu()
    return torch.einsum("bkh,bkho,bk->bo", hidden, s.w2[chosen], weight)


def _run_cells(s: Any, x: Tensor) -> Tensor:
    h = c = x.new_zeros(x.shape[0], 8)
    g = x.new_zeros(x.shape[0], 6)
    for t in range(2):
        h, c = s.l(x[:, t], (h, c))
        g = s.g(h, g)
    return s.o(g)


def _packed(cell: type[nn.Module], **more: Any) -> Any:
    return lambda: {"r": cell(5, 8, batch_first=True, **more),
                    "o": nn.Linear(8 * (1 + more.get("bidirectional", False)), 3)}  # fmt: skip


def _run(s: Any, x: Tensor) -> Tensor:
    return s.o(s.r(x)[0][:, -1])


def _add_waves(s: Any, x: Tensor) -> Tensor:
    """Positions as sines and cosines side by side, worked out at each call."""
    y = s.a(x)
    rates = 10.0 ** (-torch.arange(0, y.shape[-1], 2) / y.shape[-1])
    angles = torch.arange(y.shape[1])[:, None] * rates
    return s.o((y + torch.stack([angles.sin(), angles.cos()], -1).flatten(1)).relu())


OPERATORS: dict[str, Trap] = {
    "4 an lstm that starts from nothing": Trap(
        function=_run, parts=_packed(nn.LSTM), shape=(3, 6, 5), groups={"r": 8}),
    "4 a stacked lstm in both directions": Trap(
        function=_run, parts=_packed(nn.LSTM, num_layers=2, bidirectional=True), shape=(3, 6, 5), groups={"r": 8}),
    "4 an lstm with a projection": Trap(
        function=lambda s, x: s.p(s.r(x)[1][0][0]), parts=lambda: {
            "r": nn.LSTM(5, 8, batch_first=True, proj_size=4), "p": nn.Linear(4, 3)},
        shape=(3, 6, 5), groups={"r": 4}),
    "4 a gated layer": Trap(function=_run, parts=_packed(nn.GRU), shape=(3, 6, 5), groups={"r": 8}),
    "4 cells, step by step": Trap(
        function=_run_cells, shape=(3, 2, 5), groups={"l": 8, "g": 6},
        parts=lambda: {"l": nn.LSTMCell(5, 8), "g": nn.GRUCell(8, 6), "o": nn.Linear(6, 3)}),
    "7 a scale that the operator works out": Trap(
        function=_attend, parts=_heads, shape=(3, 6, 5), groups={"q.heads": 2, "q.query": 4, "v.value": 4}),
    "5 one channel per group": Trap(
        function=lambda s, x: s.d(s.n(s.c(x))).mean((2, 3)), parts=cnn(n=lambda: nn.GroupNorm(8, 8)),
        shape=(3, 3, 4, 5), groups={"c": 8}),
    "5 groups of a convolution in groups of a norm": Trap(
        function=lambda s, x: s.d(s.n(s.g(s.c(x)))).mean((2, 3)), shape=(3, 3, 4, 5),
        groups={"c.0": 2, "c.1": 4, "g": 2},
        parts=lambda: {
            "c": nn.Conv2d(3, 8, 1), "g": nn.Conv2d(8, 8, 1, groups=2), "n": nn.GroupNorm(4, 8),
            "d": nn.Conv2d(8, 3, 1)}),
    "5 as many groups as a depthwise convolution has": Trap(
        function=lambda s, x: s.d(s.n(s.g(s.c(x)))).mean((2, 3)), shape=(3, 3, 4, 5), groups={"c": 8, "g": 2},
        parts=lambda: {
            "c": nn.Conv2d(3, 8, 1), "g": nn.Conv2d(8, 16, 1, groups=8), "n": nn.GroupNorm(8, 16),
            "d": nn.Conv2d(16, 3, 1)}),
    **{f"5 {num_groups} groups of joined channels": Trap(
        function=lambda s, x: s.d(s.n(torch.cat([s.a(x), s.b(x)], 1))).mean((2, 3)), shape=(3, 3, 4, 5),
        groups=groups,
        parts=lambda num_groups=num_groups: {
            "a": nn.Conv2d(3, 4, 1), "b": nn.Conv2d(3, 8, 1), "n": nn.GroupNorm(num_groups, 12),
            "d": nn.Conv2d(12, 3, 1)})
       for num_groups, groups in (
           (1, {"a": 4, "b": 8}), (2, {"a": 4, "b": 2}), (3, {"a": 4}), (4, {"a": 2}), (6, {"a": 2}),
           (12, {"a": 4, "b": 8}))},
    "17 every other unit": Trap(
        function=lambda s, x: s.o(s.a(x)[:, ::2]), parts=lambda: {"a": nn.Linear(5, 8), "o": nn.Linear(4, 3)},
        groups={"a": 4}),
    "attention by letters": Trap(
        function=_attend_by_letters, parts=_heads, shape=(3, 6, 5),
        groups={"q.heads": 2, "q.query": 4, "v.value": 4}),
    "attention picked from one projection": Trap(
        function=_attend_in_pieces, shape=(3, 6, 5), groups={"w.heads": 2, "w.query": 4},
        parts=lambda: {"w": nn.Linear(5, 24), "o": nn.Linear(8, 3)}),
    "keys repeated in place": _share("in place", {"q.heads": 2, "q.query": 4, "v.value": 4}),
    "keys repeated side by side": _share("side by side", {"q.heads": 2, "q.query": 4, "v.value": 4}),
    "keys shared by the operator": _share(
        "by the operator", {"q.heads": 2, "q.shared": 2, "q.query": 4, "v.value": 4}),
    "rotary pairs side by side": Trap(
        function=lambda s, x: _attend_rotated(s, x, _rotate), parts=_heads, shape=(3, 6, 5),
        groups={"q.heads": 2, "q.query": 2, "v.value": 4}),
    "rotary halves": Trap(
        function=lambda s, x: _attend_rotated(s, x, _rotate_halves), parts=_heads, shape=(3, 6, 5),
        groups={"q.heads": 2, "q.query": 2, "v.value": 4}),
    "rotary pairs as complex numbers": Trap(
        function=lambda s, x: _attend_rotated(s, x, _rotate_as_complex), parts=_heads, shape=(3, 6, 5),
        groups={"q.heads": 2, "q.query": 2, "v.value": 4}),
    "a mask of units": Trap(
        function=lambda s, x: s.o(s.a(x).masked_fill(s.m.logical_not(), 0.5)), parts=mlp(m=lambda: torch.arange(8) > 4),
        groups={"a": 8}),
    "a table made of a count": Trap(
        function=lambda s, x: s.o(s.a(x) * torch.arange(s.a.out_features)), parts=mlp(), groups={"a": 8}),
    "tables made of counts": Trap(
        function=lambda s, x: s.o(s.a(x) * torch.linspace(0, 1, 8) + torch.logspace(0, 1, 8)), parts=mlp(),
        groups={"a": 8}),
    "an identity": Trap(
        function=lambda s, x: s.o(s.a(x) @ (torch.eye(8) + s.w)), parts=mlp(w=table(8, 8)), groups={"a": 8}),
    "a constant": Trap(
        function=lambda s, x: s.o(s.a(x) * torch.tensor([1.0, 2.0, 3.0, 4.0] * 2)), parts=mlp(), groups={"a": 8}),
    "waves of many lengths": Trap(function=_add_waves, parts=mlp(), shape=(3, 6, 5), groups={"a": 4}),
    "a bilinear layer": Trap(
        function=lambda s, x: s.o(s.b(s.a(x), s.a(x).relu())), groups={"a": 8, "b": 6},
        parts=lambda: {"a": nn.Linear(5, 8), "b": nn.Bilinear(8, 8, 6), "o": nn.Linear(6, 3)}),
    "a dot product with a vector": Trap(
        function=lambda s, x: s.o(s.a(x) * (s.v @ s.u)) + (s.a(x) @ s.v)[:, None], parts=mlp(v=table(8), u=table(8)),
        groups={"a": 8}),
    "a weight norm": Trap(
        function=lambda s, x: s.o(s.a(x).relu()), groups={"a": 8},
        parts=lambda: {"a": parametrizations.weight_norm(nn.Linear(5, 8)),
                       "o": parametrizations.weight_norm(nn.Linear(8, 3))}),
    "a weight norm of one length": Trap(
        function=lambda s, x: s.o(s.a(x).relu()), groups={"a": 8},
        parts=lambda: {"a": parametrizations.weight_norm(nn.Linear(5, 8), dim=None), "o": nn.Linear(8, 3)}),
    "a spectral norm": Trap(
        function=lambda s, x: s.o(s.a(x).relu()), groups={"a": 8},
        parts=lambda: {"a": parametrizations.spectral_norm(nn.Linear(5, 8)),
                       "o": parametrizations.spectral_norm(nn.Linear(8, 3))}),
    "a spectral norm of a convolution by a hook": Trap(
        function=lambda s, x: s.d(s.c(x).relu()).mean((2, 3)), shape=(3, 3, 4, 5), groups={"c": 8},
        parts=lambda: {"c": spectral_norm(nn.Conv2d(3, 8, 3)), "d": spectral_norm(nn.ConvTranspose2d(8, 3, 2))}),
    "a norm of what is read": Trap(
        function=lambda s, x: s.o(s.a(x) / s.a(x).norm(dim=-1, keepdim=True)), parts=mlp(), groups={"a": 8}),
    "likeness to a vector": Trap(
        function=lambda s, x: s.o(s.a(x)) * functional.cosine_similarity(s.a(x), s.v[None], 1)[:, None],
        parts=mlp(v=table(8)), groups={"a": 8}),
    "a channel shuffle by the operator": Trap(
        function=lambda s, x: s.d(functional.channel_shuffle(s.c(x), 2)).mean((2, 3)), parts=cnn(), shape=(3, 3, 4, 5),
        groups={"c": 4}),
    "positions that become channels": Trap(
        function=lambda s, x: s.e(functional.pixel_unshuffle(s.c(x), 2)).mean((2, 3)), shape=(3, 3, 4, 6),
        parts=lambda: {"c": nn.Conv2d(3, 8, 1), "e": nn.Conv2d(32, 3, 1)}, groups={"c": 8}),
    "channels that become positions": Trap(
        function=lambda s, x: s.e(functional.pixel_shuffle(s.c(x), 2)).mean((2, 3)), shape=(3, 3, 4, 6),
        parts=lambda: {"c": nn.Conv2d(3, 32, 1), "e": nn.Conv2d(8, 3, 1)}, groups={"c": 8}),
    "experts chosen by number": Trap(
        function=_choose_experts, groups={"w1": 6},
        parts=lambda: {"r": nn.Linear(5, 4), "w1": table(4, 6, 5)(), "w2": table(4, 6, 3)()}),
    "all experts, weighted": Trap(
        function=lambda s, x: torch.einsum(
            "beh,eho,be->bo", torch.einsum("bd,ehd->beh", x, s.w1).relu(), s.w2, s.r(x).softmax(-1)),
        groups={"w1": 6}, parts=lambda: {"r": nn.Linear(5, 4), "w1": table(4, 6, 5)(), "w2": table(4, 6, 3)()}),
}  # fmt: skip
