"""Networks of which no unit may go, and why."""

import torch
from torch import nn
from torch.nn import functional

from tests.traps.network import Trap, cnn, mlp, table

FROZEN: dict[str, Trap] = {
    "1 roll": Trap(function=lambda s, x: s.o(torch.roll(s.a(x), 1, -1)), parts=mlp(), reason="aten.roll (network.py:"),
    "1 flip": Trap(function=lambda s, x: s.o(torch.flip(s.a(x), [-1])), parts=mlp(), reason="works along this axis"),
    "1 sort": Trap(function=lambda s, x: s.o(s.a(x).sort(-1)[0]), parts=mlp(), reason="works along this axis"),
    "1 differences": Trap(
        function=lambda s, x: s.o(s.a(x)[:, 1:] - s.a(x)[:, :-1]), reason="size 1, which leaves no choice",
        parts=lambda: {"a": nn.Linear(5, 8), "o": nn.Linear(7, 3)}),
    "2 pooling along units": Trap(
        function=lambda s, x: s.o(functional.max_pool1d(s.a(x).unsqueeze(1), 3, 1, 1).squeeze(1)), parts=mlp(),
        reason="slides along this axis"),
    "2 local response": Trap(
        function=lambda s, x: s.d(functional.local_response_norm(s.c(x), 3)).mean((2, 3)), parts=cnn(),
        shape=(3, 3, 4, 5),
        reason="changes the number of positions along this axis"),
    "3 units by number": Trap(
        function=lambda s, x: s.o(s.a(x)[:, s.ix]), parts=mlp(ix=lambda: torch.arange(8).flip(0)),
        reason="addresses this axis by number"),
    "8 running sums": Trap(
        function=lambda s, x: s.o(s.a(x).cumsum(-1)), parts=mlp(), reason="works along this axis"),
    "8 triangles": Trap(
        function=lambda s, x: s.o(s.a(x) @ s.w.tril()), parts=mlp(w=table(8, 8)), reason="works along this axis"),
    "softmax over units": Trap(
        function=lambda s, x: s.o(s.a(x).softmax(-1)), parts=mlp(), reason="works along this axis"),
    "units told apart": Trap(
        function=lambda s, x: s.o(s.a(x) - s.a(x).max(-1, keepdim=True)[0]), parts=mlp(),
        reason="tells the positions of this axis apart"),
    "one unit": Trap(
        function=lambda s, x: s.o(s.a(x) * s.a(x)[:, 3].unsqueeze(1)), parts=mlp(),
        reason="picks one position of this axis"),
    "a deviation that may divide by nothing": Trap(
        function=lambda s, x: s.o(s.a(x) / s.a(x).std(-1, keepdim=True)), parts=mlp(),
        reason="divides by the number of positions less one"),
    "a view as another dtype": Trap(
        function=lambda s, x: s.o(s.a(x).view(torch.int32).view(torch.float32)), parts=mlp(),
        reason="unknown operator aten.view"),
    "3 a mask that selects": Trap(
        function=lambda s, x: s.o(s.a(x)) + s.a(x)[:, s.m].sum(), reason="selects along this axis by a mask",
        parts=mlp(m=lambda: torch.arange(8) > 4)),
    "3 a table of floats that is an index": Trap(
        function=lambda s, x: s.o(s.a(x) + s.t[(s.ix * 2).long()]), reason="table that numbers positions",
        parts=mlp(t=table(4), ix=lambda: torch.arange(8) / 4)),
    "3 a count that is an index": Trap(
        function=lambda s, x: s.o(s.a(x) + s.t[torch.arange(8) % 4]), parts=mlp(t=table(4)),
        reason="table made by aten.arange"),
    "3 rows of an identity by number": Trap(
        function=lambda s, x: s.o(s.a(x) + torch.eye(8)[torch.tensor([2])]), parts=mlp(),
        reason="addresses this axis by number"),
    "positions that are compared": Trap(
        function=lambda s, x: s.o(s.a(x).masked_fill(torch.arange(8) + 1 > 4, 0.0)), parts=mlp(),
        reason="table made by aten.arange"),
    "a factor of whole numbers": Trap(
        function=lambda s, x: s.o(s.a(x) * s.n), parts=mlp(n=lambda: torch.arange(8)),
        reason="table of whole numbers, which may be an index"),
    "a weight that leaves": Trap(
        function=lambda s, x: (s.o(s.a(x)), s.a.weight), parts=mlp(), reason="output of the model"),
    "a size that depends on units": Trap(
        function=lambda s, x: s.o(s.a(x)) * torch.nonzero(s.a(x)).shape[0], parts=mlp(),
        reason="unknown operator aten.nonzero"),
    "strided units of which some are left over": Trap(
        function=lambda s, x: s.o(s.a(x)[:, ::3]), parts=lambda: {"a": nn.Linear(5, 8), "o": nn.Linear(3, 3)},
        reason="takes a strided or dynamic part of this axis"),
    "1 the largest units": Trap(
        function=lambda s, x: s.o(s.a(x).topk(4)[0]), parts=lambda: {"a": nn.Linear(5, 8), "o": nn.Linear(4, 3)},
        reason="works along this axis"),
    "1 the number of the largest unit": Trap(
        function=lambda s, x: s.o(s.a(x) * s.a(x).argmax(-1, True)), parts=mlp(),
        reason="tells the positions of this axis apart"),
    "1 a Fourier transform of units": Trap(
        function=lambda s, x: s.o(torch.fft.rfft(s.a(x)).abs()), reason="works along this axis",
        parts=lambda: {"a": nn.Linear(5, 8), "o": nn.Linear(5, 3)}),
    "1 windows of units": Trap(
        function=lambda s, x: s.o(s.a(x).unfold(1, 3, 1).mean(2)), reason="works along this axis",
        parts=lambda: {"a": nn.Linear(5, 8), "o": nn.Linear(6, 3)}),
    "1 padded units": Trap(
        function=lambda s, x: s.o(functional.pad(s.a(x), (1, 2))), reason="changes the number of positions",
        parts=lambda: {"a": nn.Linear(5, 8), "o": nn.Linear(11, 3)}),
    "2 units as the steps of a recurrent layer": Trap(
        function=lambda s, x: s.o(s.r(s.a(x).unsqueeze(-1))[0].mean(2)), reason="steps along this axis",
        parts=mlp(r=lambda: nn.GRU(1, 1, batch_first=True))),
    "2 units as positions of an attention": Trap(
        function=lambda s, x: s.o(functional.scaled_dot_product_attention(*[s.a(x).unsqueeze(-1)] * 3).squeeze(-1)),
        parts=mlp(), reason="attends along this axis"),
    "3 a table by number of units": Trap(
        function=lambda s, x: s.o(s.a(x) + s.t[s.ix]), parts=mlp(t=table(4), ix=lambda: torch.arange(8) % 4),
        reason="table of whole numbers, which may be an index"),
    "8 running products": Trap(
        function=lambda s, x: s.o(s.a(x).cumprod(-1)), parts=mlp(), reason="works along this axis"),
}  # fmt: skip
