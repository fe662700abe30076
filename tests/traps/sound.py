"""Networks of which units may go, and the groups that a careful inference finds."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.traps.network import Trap, cnn, mlp, table


def _tied() -> dict[str, Any]:
    e, h = nn.Embedding(7, 8), nn.Linear(8, 7, bias=False)
    h.weight = e.weight
    return {"h": h, "e": e, "f": nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 8))}


def _attend(s: Any, x: Tensor) -> Tensor:
    q, k, v = (m(x).view(x.shape[0], x.shape[1], 2, 4).transpose(1, 2) for m in (s.q, s.k, s.v))
    return s.o(((q @ k.mT * 0.5).softmax(-1) @ v).transpose(1, 2).flatten(2))


def _attend_fused(s: Any, x: Tensor) -> Tensor:
    z = s.w(x).view(x.shape[0], x.shape[1], 3, 2, 4).permute(2, 0, 3, 1, 4)
    return s.o(((z[0] @ z[1].mT * 0.5).softmax(-1) @ z[2]).transpose(1, 2).flatten(2))


def _attend_grouped(s: Any, x: Tensor) -> Tensor:
    b, t, _ = x.shape
    q = s.q(x).view(b, t, 4, 4).transpose(1, 2)
    k, v = (m(x).view(b, t, 2, 1, 4).expand(b, t, 2, 2, 4).reshape(b, t, 4, 4).transpose(1, 2) for m in (s.k, s.v))
    return s.o(((q @ k.mT * 0.5).softmax(-1) @ v).transpose(1, 2).flatten(2))


def _write(y: Tensor) -> Tensor:
    y = y * 1
    y[:, 2:5] += 2
    return y


def _write_through_a_view(s: Any, x: Tensor) -> Tensor:
    y = s.a(x) * 1
    y[:, :6].view(-1, 6).add_(1)
    return s.o(y)


def _dense(s: Any, x: Tensor) -> Tensor:
    y = s.a(x).relu()
    z = s.b(y).relu()
    w = s.c(torch.cat([z, y], 1)).relu()
    return s.o(torch.cat([y, z, w], 1))


def _squeeze_and_excite(s: Any, x: Tensor) -> Tensor:
    y = s.c(x)
    return s.d(y * s.g(s.f(y.mean((2, 3))).relu()).sigmoid()[:, :, None, None]).mean((2, 3))


def _residual_and_all(s: Any, x: Tensor) -> Tensor:
    y = s.c(x)
    return s.o(torch.flatten(torch.cat([y + s.d(y), s.e(y)], 1), 1))


def _two_foldings(s: Any, x: Tensor) -> Tensor:
    y = s.a(x) + s.b(x)
    return s.o(y) + s.q(y.view(-1, 2, 4).transpose(1, 2).reshape(-1, 8))


def _by_hand(y: Tensor) -> Tensor:
    variance, mean = torch.var_mean(y, -1, keepdim=True, correction=0)
    return (y - mean) / (variance + 1e-5).sqrt()


SOUND: dict[str, Trap] = {
    "2 an image made of units": Trap(
        function=lambda s, x: s.c(s.a(x).view(-1, 6, 4, 4)).mean((2, 3)), groups={"a": 6},
        parts=lambda: {"a": nn.Linear(5, 96), "c": nn.Conv2d(6, 3, 3, padding=1)}),
    "2 units as positions of a convolution": Trap(
        function=lambda s, x: s.o(s.k(s.a(x).unsqueeze(1)).mean(2)), groups={"k": 4},
        parts=lambda: {"a": nn.Linear(5, 8), "k": nn.Conv1d(1, 4, 3), "o": nn.Linear(4, 3)}),
    "3 an embedding of a table of numbers": Trap(
        function=lambda s, x: s.o(s.a(x) + s.e(s.ix).mean(0)), groups={"a": 8},
        parts=mlp(e=lambda: nn.Embedding(4, 8), ix=lambda: torch.tensor([1, 2, 0]))),
    "3 rows of a table by number": Trap(
        function=lambda s, x: s.o(s.a(x) + s.t[s.ix].mean(0)), groups={"a": 8},
        parts=mlp(t=table(4, 8), ix=lambda: torch.tensor([1, 2, 0]))),
    "2 units visited one by one by a convolution": Trap(
        function=lambda s, x: s.o(s.k(torch.stack([s.a(x), s.a(x).relu(), s.a(x).sigmoid()], 1))[:, 0]),
        parts=mlp(k=lambda: nn.Conv1d(3, 1, 1)), groups={"a": 8}),
    "weights that a batch norm standardises": Trap(
        function=lambda s, x: functional.linear(
            s.a(x).relu(),
            functional.batch_norm(s.o.weight[None], None, None, s.g, training=True, momentum=0.0)[0], s.o.bias),
        parts=mlp(g=table(3)), groups={"a": 8}),
    "5 group norm after a grouped convolution": Trap(
        function=lambda s, x: s.d(s.n(s.c(x))).mean((2, 3)), shape=(3, 2, 5, 6), groups={"c": 2},
        parts=lambda: {"c": nn.Conv2d(2, 8, 3, groups=2), "n": nn.GroupNorm(4, 8), "d": nn.Conv2d(8, 3, 3)}),
    "5 group norm that leaves a factor free": Trap(
        function=lambda s, x: s.d(s.n(s.g(s.c(x)))).mean((2, 3)), shape=(3, 3, 5, 6), groups={"c": 2, "g": 2},
        parts=lambda: {
            "c": nn.Conv2d(3, 4, 1), "g": nn.Conv2d(4, 8, 3, groups=4), "n": nn.GroupNorm(2, 8),
            "d": nn.Conv2d(8, 3, 3)}),
    "6 a scale worked out from a size": Trap(
        function=lambda s, x: s.o(s.a(x) * s.a(x).size(-1) ** -0.5), parts=mlp(), groups={"a": 8}),
    "6 a mean by hand": Trap(
        function=lambda s, x: s.o(s.a(x) - s.a(x).sum(-1, keepdim=True) / s.a(x).shape[-1]), parts=mlp(),
        groups={"a": 8}),
    "8 what is alike everywhere, summed up": Trap(
        function=lambda s, x: s.o(s.a(x) + torch.ones_like(s.a(x))), parts=mlp(), groups={"a": 8}),
    "10 a single sample": Trap(
        function=lambda s, x: s.o(s.a(x)) / x.shape[0], parts=mlp(), shape=(1, 5), groups={"a": 8}),
    "11 a branch on the batch": Trap(
        function=lambda s, x: s.o(s.a(x)) if x.shape[0] < 16 else s.o(s.a(x)).relu(), parts=mlp(), groups={"a": 8}),
    "12 tied modules": Trap(
        function=lambda s, x: s.h(s.f(s.e(x))), parts=_tied, shape=(3, 4), dtype=torch.int64,
        groups={"e": 8, "f.0": 16}),
    "13 parameters that nobody reads": Trap(
        function=lambda s, x: (s.b(s.a(x)), s.o(s.a(x)))[1], groups={"a": 8},
        parts=mlp(b=lambda: nn.Linear(8, 6), dead=lambda: nn.Linear(4, 6))),
    "13 a table of positions of which the first are used": Trap(
        function=lambda s, x: s.o((s.a(x) + s.p[:, :4]).relu()), parts=mlp(p=table(1, 9, 8)), shape=(3, 4, 5),
        groups={"a": 8}),
    "13 as many positions as the input has": Trap(
        function=lambda s, x: s.o((s.a(x) + s.p[:, : x.shape[1]]).relu()), parts=mlp(p=table(1, 9, 8)),
        shape=(3, 4, 5), groups={"a": 8}),
    "15 a write through a view": Trap(
        function=_write_through_a_view, parts=mlp(), groups={"a.0": 6, "a.1": 2}),
    "15 a write into a slice": Trap(
        function=lambda s, x: s.o(_write(s.a(x))), parts=mlp(), groups={"a.0": 2, "a.1": 3, "a.2": 3}),
    "16 a parameter narrowed on a later axis": Trap(
        function=lambda s, x: s.o(s.a(x) + s.w.view(-1)), parts=mlp(w=table(2, 4)), groups={"a.0": 2, "a.1": 4}),
    "17 literal bounds": Trap(
        function=lambda s, x: s.o(s.a(x)[:, 4:]), groups={"a": 4},
        parts=lambda: {"a": nn.Linear(5, 8), "o": nn.Linear(4, 3)}),
    "17 bounds counted from the end": Trap(
        function=lambda s, x: s.o(torch.cat([x, s.a(x)], -1)[:, :-3]) + s.q(torch.cat([x, s.a(x)], -1)),
        groups={"a": 3}, parts=lambda: {"a": nn.Linear(5, 3), "o": nn.Linear(5, 2), "q": nn.Linear(8, 2)}),
    "18 units as tokens": Trap(
        function=lambda s, x: s.o(s.m(s.a(x).mT).mT.mean(1)), shape=(3, 6, 5), groups={"a": 8, "m.0": 10, "m.2": 6},
        parts=mlp(m=lambda: nn.Sequential(nn.Linear(6, 10), nn.GELU(), nn.Linear(10, 6)))),
    "19 heads and what is in them": Trap(
        function=_attend, shape=(3, 6, 5), groups={"q.heads": 2, "q.query": 4, "v.value": 4},
        parts=lambda: {"q": nn.Linear(5, 8), "k": nn.Linear(5, 8), "v": nn.Linear(5, 8), "o": nn.Linear(8, 3)}),
    "-1 in a view": Trap(
        function=lambda s, x: s.o(s.a(x).view(-1, 2, 4).sum(1)), groups={"a.0": 2, "a.1": 4},
        parts=lambda: {"a": nn.Linear(5, 8), "o": nn.Linear(4, 3)}),
    "units folded into the batch": Trap(
        function=lambda s, x: s.o(s.a(x).view(-1, 4)).view(x.shape[0], -1), groups={"a": 4},
        parts=lambda: {"a": nn.Linear(5, 8), "o": nn.Linear(4, 3)}),
    "chunks of unequal sizes": Trap(
        function=lambda s, x: s.o(torch.cat(s.a(x).chunk(3, -1)[::-1], -1)), parts=mlp(),
        groups={"a.0": 3, "a.1": 3, "a.2": 2}),
    "halves that gate each other": Trap(
        function=lambda s, x: s.o(functional.glu(s.a(x))), groups={"a": 8},
        parts=lambda: {"a": nn.Linear(5, 16), "o": nn.Linear(8, 3)}),
    "fused projections": Trap(
        function=_attend_fused, shape=(3, 6, 5), groups={"w.heads": 2, "w.query": 4},
        parts=lambda: {"w": nn.Linear(5, 24), "o": nn.Linear(8, 3)}),
    "queries that share keys": Trap(
        function=_attend_grouped, shape=(3, 6, 5), groups={"q.heads": 2, "q": 2, "q.query": 4, "v.value": 4},
        parts=lambda: {"q": nn.Linear(5, 16), "k": nn.Linear(5, 8), "v": nn.Linear(5, 8), "o": nn.Linear(16, 3)}),
    "a class token": Trap(
        function=lambda s, x: s.o(torch.cat([s.p.expand(x.shape[0], -1, -1), s.a(x)], 1)[:, 0]), shape=(3, 4, 5),
        parts=mlp(p=table(1, 1, 8)), groups={"p": 8}),
    "the last of a concatenation": Trap(
        function=lambda s, x: s.o(torch.cat([s.a(x), x], -1)) * torch.cat([s.a(x), x], -1)[:, -1:], groups={"a": 8},
        parts=lambda: {"a": nn.Linear(5, 8), "o": nn.Linear(13, 3)}),
    "one position of a concatenation": Trap(
        function=lambda s, x: s.o(torch.cat([s.a(x), x], -1)) * torch.cat([s.a(x), x], -1)[:, -2, None],
        groups={"a": 8},
        parts=lambda: {"a": nn.Linear(5, 8), "o": nn.Linear(13, 3)}),
    "squeezing whatever is single": Trap(
        function=lambda s, x: s.o(functional.adaptive_avg_pool2d(s.c(x), 1).squeeze()), shape=(3, 3, 5, 6),
        groups={"c": 8},
        parts=lambda: {"c": nn.Conv2d(3, 8, 3), "o": nn.Linear(8, 3)}),
    "squeezing an axis that is not single": Trap(
        function=lambda s, x: s.o(s.a(x).squeeze(1)), parts=mlp(), groups={"a": 8}),
    "a flattened image": Trap(
        function=lambda s, x: s.o(torch.flatten(functional.max_pool2d(s.c(x), 2), 1)), shape=(3, 3, 4, 6),
        groups={"c": 8},
        parts=lambda: {"c": nn.Conv2d(3, 8, 3, padding=1), "o": nn.Linear(48, 3)}),
    "a residual, a concatenation and a flattened image": Trap(
        function=_residual_and_all, shape=(3, 3, 4, 3), groups={"c": 8, "e": 4},
        parts=lambda: {"c": nn.Conv2d(3, 8, 1), "d": nn.Conv2d(8, 8, 1), "e": nn.Conv2d(8, 4, 1), "o": nn.Linear(144,
        3)}),
    "two summands, folded one way and the other": Trap(
        function=_two_foldings, parts=mlp(b=lambda: nn.Linear(5, 8), q=lambda: nn.Linear(8, 3)),
        groups={"a.0": 2, "a.1": 4}),
    "a channel shuffle": Trap(
        function=lambda s, x: s.d(s.t(s.c(x)).view(-1, 2, 6, 4, 3).transpose(1, 2).reshape(-1, 12, 4, 3)).mean((2, 3)),
        shape=(3, 3, 4, 3), groups={"c.0": 2, "c.1": 4, "t": 6},
        parts=lambda: {"c": nn.Conv2d(3, 8, 1), "t": nn.Conv2d(8, 12, 1, groups=2), "d": nn.Conv2d(12, 3, 1)}),
    "depthwise with a multiplier": Trap(
        function=lambda s, x: s.d(s.t(s.c(x))).mean((2, 3)), shape=(3, 3, 4, 5), groups={"c": 8, "t": 2},
        parts=lambda: {"c": nn.Conv2d(3, 8, 1), "t": nn.Conv2d(8, 16, 3, groups=8), "d": nn.Conv2d(16, 3, 1)}),
    "a grouped transposed convolution": Trap(
        function=lambda s, x: s.d(s.t(s.c(x))).mean((2, 3)), shape=(3, 3, 4, 5), groups={"c.0": 4, "c.1": 2, "t": 3},
        parts=lambda: {
            "c": nn.Conv2d(3, 8, 1), "t": nn.ConvTranspose2d(8, 12, 2, stride=2, groups=4), "d": nn.Conv2d(12, 3, 1)}),
    "a convolution without samples": Trap(
        function=lambda s, x: s.o(s.c(x[0]).mean((1, 2)))[None] + x.mean((1, 2, 3))[:, None], shape=(3, 3, 5, 6),
        parts=lambda: {"c": nn.Conv2d(3, 8, 3), "o": nn.Linear(8, 3)}, groups={"c": 8}),
    "dense connections in two orders": Trap(
        function=_dense, groups={"a": 8, "b": 4, "c": 6},
        parts=lambda: {"a": nn.Linear(5, 8), "b": nn.Linear(8, 4), "c": nn.Linear(12, 6), "o": nn.Linear(18, 3)}),
    "squeeze and excite": Trap(
        function=_squeeze_and_excite, shape=(3, 3, 4, 5), groups={"c": 8, "f": 2},
        parts=cnn(f=lambda: nn.Linear(8, 2), g=lambda: nn.Linear(2, 8))),
    "instance norm": Trap(
        function=lambda s, x: s.d(s.n(s.c(x))).mean((2, 3)), shape=(3, 3, 4, 5), groups={"c": 8},
        parts=cnn(n=lambda: nn.InstanceNorm2d(8, affine=True, track_running_stats=True))),
    "layer norm of channels": Trap(
        function=lambda s, x: s.d(s.n(s.c(x).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)).mean((2, 3)), shape=(3, 3, 4, 5),
        parts=cnn(n=lambda: nn.LayerNorm(8)), groups={"c": 8}),
    "a layer norm by hand": Trap(function=lambda s, x: s.o(_by_hand(s.a(x))), parts=mlp(), groups={"a": 8}),
    "a normalised vector": Trap(
        function=lambda s, x: s.o(functional.normalize(s.a(x), dim=-1)), parts=mlp(), groups={"a": 8}),
    "the largest of all": Trap(
        function=lambda s, x: s.o(s.a(x) - s.a(x).max() - s.a(x).amin(1, True)), parts=mlp(), groups={"a": 8}),
    "log-sum-exp": Trap(
        function=lambda s, x: s.o(s.a(x) - s.a(x).logsumexp(-1, keepdim=True)), parts=mlp(), groups={"a": 8}),
    "slopes per unit": Trap(
        function=lambda s, x: s.o(s.p(s.a(x))), parts=mlp(p=lambda: nn.PReLU(8)), groups={"a": 8}),
    "a number first": Trap(
        function=lambda s, x: s.o(2 ** s.a(x) + (1 - s.a(x)) * s.g), parts=mlp(g=table()), groups={"a": 8}),
    "a single gain": Trap(function=lambda s, x: s.o(s.a(x) * s.g), parts=mlp(g=table(1)), groups={"a": 8}),
    "units that multiply as one number": Trap(
        function=lambda s, x: s.o(s.a(x) * s.a(x).sum().item()), parts=mlp(), groups={"a": 8}),
    "a weight there and back": Trap(
        function=lambda s, x: s.o(s.a(x) @ s.w @ s.w.t()), parts=mlp(w=table(8, 6)), groups={"a": 8, "w": 6}),
    "a layer used twice": Trap(
        function=lambda s, x: s.o(s.h(s.h(s.a(x)).relu()).relu()), parts=mlp(h=lambda: nn.Linear(8, 8)),
        groups={"a": 8}),
    "an outer product with itself": Trap(
        function=lambda s, x: s.o((s.a(x)[:, :, None] * s.a(x)[:, None, :]).flatten(1)), groups={"a": 8},
        parts=lambda: {"a": nn.Linear(5, 8), "o": nn.Linear(64, 3)}),
    "matrices from the left": Trap(
        function=lambda s, x: (s.w @ (s.v @ x.t()).relu()).t(), parts=lambda: {"v": table(8, 5)(), "w": table(3, 8)()},
        groups={"v": 8}),
    "coordinates beside channels": Trap(
        function=lambda s, x: s.d(torch.cat([s.c(x), s.g.expand(x.shape[0], -1, -1, -1)], 1)).mean((2, 3)),
        parts=lambda: {"c": nn.Conv2d(3, 8, 1), "d": nn.Conv2d(10, 3, 1), "g": torch.randn(1, 2, 4, 5)},
        shape=(3, 3, 4, 5), groups={"c": 8}),
    "nothing but zeros": Trap(
        function=lambda s, x: s.o(s.a(x) + torch.zeros(x.shape[0], 8)), parts=mlp(), groups={"a": 8}),
    "a hidden layer that also leaves": Trap(
        function=lambda s, x: (s.o(s.b(s.a(x))), s.b(s.a(x))), groups={"a": 8},
        parts=lambda: {"a": nn.Linear(5, 8), "b": nn.Linear(8, 4), "o": nn.Linear(4, 3)}),
    "a single output": Trap(
        function=lambda s, x: s.o(s.a(x)).squeeze(-1), parts=lambda: {"a": nn.Linear(5, 8), "o": nn.Linear(8, 1)},
        groups={"a": 8}),
    "an output without axes": Trap(
        function=lambda s, x: s.o(s.a(x)).square().mean(), parts=mlp(), groups={"a": 8, "o": 3}),
    "without gradients": Trap(
        function=lambda s, x: s.o(torch.no_grad()(s.a)(x).relu()), parts=mlp(), groups={"a": 8}),
}  # fmt: skip
