"""Networks around one kind of layer each, of any number of units: each must have at least one group that is sound."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.traps.network import Trap

__all__ = ["LAYERS"]

Function = Callable[..., Any]


def _units(function: Function, *, rank: int = 0, **parts: Callable[[int], Any]) -> Callable[[int, int], Trap]:
    """A layer between a linear layer, or convolution, of `units` outputs and one that reads them.

    Args:
        function: Of the parts and the hidden values (3, units, size ** rank).
        rank: How many axes of positions stand behind the units.
        parts: Made of the number of units.
    """

    def make(units: int, size: int) -> Trap:
        def run(s: Any, x: Tensor) -> Tensor:
            y = function(s, s.a(x))
            return s.o(y.flatten(2).mean(2) if rank else y)

        def make_parts() -> dict[str, Any]:
            first = [nn.Linear(4, units), nn.Conv1d(4, units, 1), nn.Conv2d(4, units, 1), nn.Conv3d(4, units, 1)][rank]
            return {"a": first, "o": nn.Linear(units, 2), **{name: part(units) for name, part in parts.items()}}

        return Trap(function=run, parts=make_parts, shape=(3, 4, *[size] * rank))

    return make


def _layer(
    kind: Callable[..., nn.Module], *arguments: Any, rank: int = 0, **settings: Any
) -> Callable[[int, int], Trap]:
    """A layer that takes the number of units first where `arguments` has "units"."""

    def make(units: int) -> nn.Module:
        return kind(*(units if argument == "units" else argument for argument in arguments), **settings)

    return _units(lambda s, y: s.l(y), rank=rank, l=make)


def _weight(*shape: str | int) -> Callable[[int], nn.Parameter]:
    return lambda units: nn.Parameter(torch.randn([units if size == "units" else int(size) for size in shape]))


def _one_by_one(y: Tensor) -> Tensor:
    y = y * 1
    y[0, :] = y[1, :]
    return y


LAYERS: dict[str, Callable[[int, int], Trap]] = {
    **{f"conv{rank}d": _layer(kind, "units", "units", 3, rank=rank)
       for rank, kind in ((1, nn.Conv1d), (2, nn.Conv2d), (3, nn.Conv3d))},
    **{f"transposed conv{rank}d": _layer(kind, "units", "units", 2, rank=rank, stride=2)
       for rank, kind in ((1, nn.ConvTranspose1d), (2, nn.ConvTranspose2d), (3, nn.ConvTranspose3d))},
    **{f"{kind.__name__} {rank}": _layer(kind, "units", rank=rank, **settings)
       for rank, kind, settings in (
           (0, nn.BatchNorm1d, {}), (1, nn.BatchNorm1d, {}), (2, nn.BatchNorm2d, {}), (3, nn.BatchNorm3d, {}),
           (1, nn.InstanceNorm1d, {"affine": True}), (3, nn.InstanceNorm3d, {}), (0, nn.LayerNorm, {}),
           (0, nn.RMSNorm, {}), (0, nn.PReLU, {}), (2, nn.PReLU, {}))},
    "group norm": _layer(nn.GroupNorm, 1, "units", rank=2),
    **{f"{kind.__name__}": _layer(kind, 2, rank=rank)
       for kind, rank in ((nn.MaxPool1d, 1), (nn.MaxPool2d, 2), (nn.MaxPool3d, 3), (nn.AvgPool1d, 1), (nn.AvgPool2d, 2),
                          (nn.AvgPool3d, 3), (nn.AdaptiveAvgPool1d, 1), (nn.AdaptiveAvgPool2d, 2),
                          (nn.AdaptiveAvgPool3d, 3), (nn.AdaptiveMaxPool1d, 1), (nn.AdaptiveMaxPool2d, 2))},
    "positions of a maximum": _units(
        lambda _, y: functional.max_pool2d(y, 2, return_indices=True)[1] * y.amax((2, 3), True), rank=2),
    **{f"upsampling {mode}": _layer(nn.Upsample, rank=rank, scale_factor=2, mode=mode)
       for rank, mode in ((1, "linear"), (2, "nearest"), (2, "bilinear"), (2, "bicubic"), (3, "trilinear"))},
    "padding": _units(lambda _, y: functional.pad(y, (1, 2), mode="reflect"), rank=2),
    **{kind.__name__: _layer(kind) for kind in (
        nn.ReLU, nn.GELU, nn.Hardswish, nn.Hardsigmoid, nn.LogSigmoid, nn.Softplus, nn.Mish, nn.Softshrink, nn.CELU,
        nn.Tanhshrink, nn.Hardtanh, nn.SiLU, nn.Dropout, nn.AlphaDropout)},
    "softmax over positions": _units(lambda _, y: y.softmax(2) * y.log_softmax(-1), rank=1),
    "matrix products": _units(
        lambda s, y: torch.addmm(s.b, y, s.w) @ s.w.t() + y.mm(s.w).mm(s.w.t()),
        w=_weight("units", 5), b=_weight(5)),
    "batched products": _units(
        lambda s, y: torch.baddbmm(y[:, None], y[:, None], s.w.expand(y.shape[0], -1, -1))[:, 0] + y[:, :, None].bmm(
            y[:, None])[:, 0], w=_weight(1, "units", "units")),
    "vectors": _units(lambda s, y: y * (y @ s.w)[:, None] * torch.dot(s.w, s.v),
        w=_weight("units"), v=_weight("units")),
    "a stack": _units(lambda s, y: torch.stack([y, s.w.expand_as(y), y * 2], 1).unbind(1)[1] + y, w=_weight("units")),
    "parts of rows": _units(
        lambda _, y: torch.cat(torch.cat([y, y]).split_with_sizes([1, y.shape[0] - 1, y.shape[0]])[1:])[: y.shape[0]]),
    "rows written": _units(lambda _, y: _one_by_one(y)),
    "rows by number": _units(lambda _, y: y.index_select(0, torch.zeros(y.shape[0], dtype=torch.int64))),
    "spreads": _units(
        lambda _, y: y / y.var(1, correction=0, keepdim=True) + torch.std_mean(y, 1, correction=0, keepdim=True)[0]),
    "extrema": _units(lambda _, y: y - y.min() + y.max() - y.amax(1, True) + y.amin(0)),
    "positions told apart": _units(
        lambda _, y: (y * y.argmax(2, True) + y.max(2, True)[0] + (y > 0).any(2, True) * y.median(2, True)[0]), rank=1),
    "norms": _units(lambda _, y: y / y.norm(p=1) + y / torch.linalg.vector_norm(y, float("inf"), 1, True)),
    "made of shapes": _units(
        lambda _, y: y + y.new_zeros(y.shape[1]) + y.new_ones(y.shape) * y.new_full((1, y.shape[1]), 2.0)
        + torch.full((y.shape[1],), 3.0) * torch.zeros_like(y)),
    "choices": _units(
        lambda s, y: torch.where(y > 0, y, s.w) + torch.where(y > 0, y, 0.0) + torch.where(y > 0, 1.0, 0.5)
        + y.masked_fill(y < 0, 2.0), w=_weight("units")),
    "casts": _units(lambda _, y: (y.double() * 2).float().contiguous().clone().detach() + y),
}  # fmt: skip
