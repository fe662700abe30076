"""Networks around one rule each, of any number of units: the smallest ones in which its operators meet units.

Every network is a convolution with kernel 1 or a linear layer `a` of some units, the operators, and a linear layer `o`
that reads what comes out of them. Operators that draw random numbers are left out: there is nothing to compare.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.traps.network import Trap

__all__ = ["LAYERS", "Make", "around", "layer", "table"]

aten = torch.ops.aten
Make = Callable[[int, int], Trap]


def around(
    function: Callable[[Any, Tensor], Sequence[Tensor]],
    *,
    rank: int = 0,
    name: str = "a",
    more: Sequence[str] = (),
    **parts: Any,
) -> Make:
    """Networks of `units` hidden units with `size` positions along each of `rank` axes.

    Args:
        function: Of the parts and the hidden values (3, units, size, ...); each of its results has the units on axis 1.
        rank: How many axes of positions stand behind the units.
        name: Of the group of those units.
        more: Parts that have a group of as many units of their own.
        parts: Made of the number of units.
    """

    def make(units: int, size: int) -> Trap:
        def run(s: Any, x: Tensor) -> Tensor:
            results = [z.flatten(2).mean(2) if z.dim() > 2 else z for z in function(s, s.a(x))]
            return s.o(torch.stack(results).sum(0) if len(results) > 1 else results[0])

        def make_parts() -> dict[str, Any]:
            first = [nn.Linear(4, units), nn.Conv1d(4, units, 1), nn.Conv2d(4, units, 1), nn.Conv3d(4, units, 1)][rank]
            return {"a": first, "o": nn.Linear(units, 2), **{name: part(units) for name, part in parts.items()}}

        groups = dict.fromkeys((name, *more), units)
        return Trap(function=run, parts=make_parts, shape=(3, 4, *[size] * rank), groups=groups)

    return make


def layer(kind: Callable[..., nn.Module], *arguments: Any, **settings: Any) -> Callable[[int], nn.Module]:
    """A layer that takes the number of units where `arguments` has "units"."""
    return lambda units: kind(*(units if each == "units" else each for each in arguments), **settings)


def table(*shape: str | int) -> Callable[[int], nn.Parameter]:
    """A parameter of a shape, in which "units" stands for their number."""
    return lambda units: nn.Parameter(torch.randn([units if size == "units" else int(size) for size in shape]))


def _written(y: Tensor, *, part: Any) -> Tensor:
    """The values with a part of them written anew."""
    y = y * 1
    y[part] = y[part] * 2 + 1
    return y


def _made(y: Tensor) -> list[Tensor]:
    shape = [y.shape[0], y.shape[1]]
    return [
        y + torch.zeros(shape), y * torch.ones(y.shape[1]), y * torch.full((y.shape[1],), 3.0),
        y * torch.empty(y.shape[1]).fill_(2.0),
        y + y.new_zeros(y.shape[1]), y * y.new_ones(y.shape[1]), y * y.new_full((1, y.shape[1]), 2.0),
        y + y.new_empty(shape).fill_(1.0),
    ]  # fmt: skip


def _products(s: Any, y: Tensor) -> list[Tensor]:
    wide = y.unsqueeze(1)
    return [
        y.mm(s.w).mm(s.w.t()), wide.bmm((s.w @ s.w.t()).expand(y.shape[0], -1, -1)).flatten(1),
        y * aten.mv(y, s.v)[:, None], y * torch.dot(s.v, s.u), wide @ y[:, :, None] * s.u[:, None],
    ]  # fmt: skip


def _sums(s: Any, y: Tensor) -> list[Tensor]:
    wide = y.unsqueeze(1)
    return [
        torch.addmm(s.b, y, s.w) @ s.w.t(),
        torch.baddbmm(wide, wide, s.k.expand(y.shape[0], -1, -1)).flatten(1),
    ]


def _normalised(s: Any, y: Tensor) -> list[Tensor]:
    x, state = y.flatten(2), (s.n.weight, s.n.bias, s.n.running_mean, s.n.running_var)
    return [
        s.n(y), aten.native_batch_norm(x, *state, False, 0.1, 1e-5)[0],
        aten._native_batch_norm_legit_no_training(y, *state, 0.1, 1e-5)[0],
        aten._native_batch_norm_legit.no_stats(y, *state[:2], True, 0.1, 1e-5)[0],
    ]  # fmt: skip


def _pooled(y: Tensor, rank: int) -> list[Tensor]:
    kinds = ("max", "avg", "adaptive_avg", "adaptive_max")
    found = [getattr(functional, f"{kind}_pool{rank}d")(y, 2) for kind in kinds]
    values, places = getattr(functional, f"max_pool{rank}d")(y, 2, return_indices=True)
    return [*found, values * places]


def _reduced(y: Tensor) -> list[Tensor]:
    return [
        y + y.sum(1, True), y - y.mean(1, True), y - y.amax(1, True), y - y.amin(1, True), y + y.sum(), y * y.mean(),
        y - y.min(), y + y.max(), y - y.logsumexp(1, True), y + y.sum(0), y - y.mean((0, 1)),
    ]  # fmt: skip


def _spread(y: Tensor) -> list[Tensor]:
    variance, mean = torch.var_mean(y, (0, 1), keepdim=True)
    deviation, _ = torch.std_mean(y, 1, correction=0, keepdim=True)
    return [(y - mean) / variance, y / (1 + deviation), y * y.var(0), y * y.std(1, correction=0, keepdim=True)]


def _told_apart(y: Tensor) -> list[Tensor]:
    return [
        y.max(2)[0], y.min(2)[0], y.median(2)[0], y * y.argmax(2, True), y * y.argmin(-1, True),
        y * (y > 0).any(2, True), y * (y > 0).all(-1, True),
    ]  # fmt: skip


def _along(y: Tensor) -> list[Tensor]:
    return [
        y * y.softmax(2), y * y.log_softmax(-1), y * aten._softmax(y, 2, False), y * aten._log_softmax(y, 0, False),
        y * y.cumsum(2), y * y.flip(2), y * y.roll(1, -1), y * y.flip([0, 2]),
    ]  # fmt: skip


def _chosen(s: Any, y: Tensor) -> list[Tensor]:
    return [
        torch.where(y > 0, y, s.w), torch.where(y > 0, y, 0.0), torch.where(y > 0, 1.0, y), y.masked_fill(y < 0, 2.0),
        torch.where(y > 0, 1.0, 0.5), 2**y, 1 - y, torch.addcmul(y, s.w, y), torch.lerp(y, s.w, 0.3), y.clamp(-1, 1),
        torch.maximum(y, s.w), (y.double() * 2).float().contiguous().clone().detach(), y * torch.zeros_like(y),
        y * torch.ones_like(y), y + torch.full_like(y, 2.0), y + torch.empty_like(y).fill_(1.0),
        functional.dropout(y, 0.5, False),
        *(act(y) for act in (
            functional.relu, functional.gelu, functional.hardswish, functional.hardsigmoid, functional.logsigmoid,
            functional.softplus, functional.mish, functional.softshrink, functional.celu, functional.tanhshrink,
            functional.hardtanh, functional.silu)),
    ]  # fmt: skip


LAYERS: dict[str, Make] = {
    "convolution": around(
        lambda s, y: [s.d(s.c(y)), s.g(y), s.e(y[..., 0]), s.f(y[..., 0, 0])], rank=3, more=("c",),
        c=layer(nn.Conv3d, "units", "units", 3), d=layer(nn.Conv3d, "units", "units", 1),
        g=lambda units: nn.Conv3d(units, units, 2, groups=units),
        e=layer(nn.Conv2d, "units", "units", 3, padding=1), f=layer(nn.Conv1d, "units", "units", 2)),
    "transposed_convolution": around(
        lambda s, y: [s.d(s.c(y)), s.g(y), s.e(y[..., 0]), s.f(y[..., 0, 0])], rank=3, more=("c",),
        c=layer(nn.ConvTranspose3d, "units", "units", 2, stride=2), d=layer(nn.ConvTranspose3d, "units", "units", 1),
        g=lambda units: nn.ConvTranspose3d(units, units, 2, groups=units),
        e=layer(nn.ConvTranspose2d, "units", "units", 2), f=layer(nn.ConvTranspose1d, "units", "units", 2)),
    "create": around(lambda _, y: _made(y)),
    "cat": around(
        lambda s, y: [s.w(torch.cat([y, y * 2], 1)), torch.cat([y, y])[: y.shape[0]]],
        w=lambda units: nn.Linear(2 * units, units)),
    "stack": around(lambda s, y: list(torch.stack([y, s.w.expand_as(y), y * 2], 1).unbind(1)), w=table("units")),
    "slice_scatter": around(lambda _, y: [_written(y, part=(slice(None), slice(None), slice(0, 2)))], rank=1),
    "select_scatter": around(
        lambda _, y: [_written(y, part=(slice(None), slice(None), 1)), _written(y, part=0)], rank=1),
    "linear": around(
        lambda s, y: [s.d(s.c(y).relu()), functional.linear(y, s.v)[:, None] * y], more=("c",),
        c=layer(nn.Linear, "units", "units", bias=False), d=layer(nn.Linear, "units", "units"), v=table("units")),
    "matmul": around(_products, more=("w",), w=table("units", "units"), v=table("units"), u=table("units")),
    "addmm": around(
        _sums, more=("b",), b=table("units"), w=table("units", "units"), k=table(1, "units", "units")),
    "embedding": around(
        lambda s, y: [y * s.e(torch.tensor([2, 0, 2])).sum(0)], e=layer(nn.Embedding, 4, "units")),
    "index": around(
        lambda s, y: [y[:, :, torch.tensor([1, 0, 1])], y * s.w[torch.tensor([2])]], rank=1, w=table(3, "units", 1)),
    "index_select": around(lambda _, y: [y.index_select(2, torch.tensor([1, 0]))], rank=1),
    "batch_norm": around(_normalised, rank=2, n=layer(nn.BatchNorm2d, "units")),
    "instance_norm": around(
        lambda s, y: [s.n(y), s.m(y)], rank=1, n=layer(nn.InstanceNorm1d, "units", affine=True),
        m=layer(nn.InstanceNorm1d, "units", track_running_stats=True)),
    "layer_norm": around(
        lambda s, y: [s.n(y), s.r(y), functional.rms_norm(y, y.shape[1:])], n=layer(nn.LayerNorm, "units"),
        r=layer(nn.RMSNorm, "units")),
    "group_norm": around(lambda s, y: [s.n(y)], rank=2, n=layer(nn.GroupNorm, 1, "units")),
    "pad": around(
        lambda _, y: [functional.pad(y, (1, 2)), functional.pad(y, (1, 2, 0, 1), mode="reflect")], rank=2),
    "upsample": around(
        lambda _, y: [functional.interpolate(part, scale_factor=2, mode=mode) for part, mode in (
            (y, "nearest"), (y[..., 0], "bilinear"), (y[..., 0, 0], "linear"))], rank=3),
    "split": around(
        lambda _, y: [*y.split(2, 2)[:2], *y.chunk(2, -1), *torch.cat([y, y * 2], 1).split(y.shape[1], 1),
                      y.split_with_sizes([1, y.shape[2] - 1], 2)[1]], rank=1),
    "glu": around(
        lambda s, y: [functional.glu(s.g(y), 1), functional.glu(torch.cat([y, y * 2], 2), 2)], rank=1,
        g=lambda units: nn.Conv1d(units, 2 * units, 1)),
    "unbind": around(lambda _, y: list(y.unbind(2)), rank=1),
    "select": around(lambda _, y: [y[..., -1], y.select(2, 1)], rank=1),
    "slice_axis": around(
        lambda _, y: [y[:, :, 1:], y[:, :, ::2], torch.cat([y, y * 2], 1)[:, y.shape[1]:]], rank=1),
    "pointwise": around(_chosen, w=table("units")),
    "prelu": around(lambda s, y: [s.p(y), s.q(y)], rank=1, p=layer(nn.PReLU, "units"), q=layer(nn.PReLU)),
    **{f"pool_{rank}d": around(lambda _, y, rank=rank: _pooled(y, rank), rank=rank) for rank in (1, 2, 3)},
    "reduce": around(lambda _, y: _reduced(y)),
    "vector_norm": around(
        lambda _, y: [y / y.norm(), y / y.norm(p=1, dim=1, keepdim=True), y / aten.norm.Scalar(y, 2),
                      y / torch.linalg.vector_norm(y, float("inf"), 1, True)]),
    "spread": around(lambda _, y: _spread(y)),
    "locate": around(lambda _, y: _told_apart(y), rank=1),
    "work_along": around(lambda _, y: _along(y), rank=1),
    "reshape": around(
        lambda s, y: [y.flatten(1).view(y.shape), y.view(-1, y.shape[2]).reshape(y.shape), y + s.w.view(-1, 1)],
        rank=1, w=table(1, "units")),
    "squeeze": around(lambda _, y: [y[:, :, :1].squeeze(2), y[:, :, :1].squeeze()], rank=1),
    "unsqueeze": around(lambda s, y: [y + s.w.unsqueeze(0), (y.unsqueeze(-1) * y.unsqueeze(2))], w=table("units")),
    "permute": around(
        lambda s, y: [s.n(y.permute(2, 0, 1)).permute(1, 2, 0)], rank=1, n=layer(nn.LayerNorm, "units")),
    "transpose": around(lambda s, y: [s.n(y.transpose(1, -1)).mT], rank=1, n=layer(nn.LayerNorm, "units")),
    "matrix_transpose": around(lambda s, y: [(s.w.t() @ y.t()).t(), y @ s.w.T], w=table("units", "units")),
    "expand": around(
        lambda s, y: [y * s.w.expand(y.shape[0], -1), y[:, :, None].expand(-1, -1, 3), y * s.g.expand(y.shape[1])],
        w=table(1, "units"), g=table(1)),
}  # fmt: skip
