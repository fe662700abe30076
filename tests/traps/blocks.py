"""More networks around one rule each: attention, recurrence, products by letters, and positions moved by number."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.traps.layers import Make, around, layer, table

__all__ = ["BLOCKS"]

aten = torch.ops.aten


def _run(s: Any, y: Tensor) -> list[Tensor]:
    """Recurrent layers over the positions."""
    return [s.g(y.mT)[0].mT, s.r(y.mT)[0].mT, y]


def _products(s: Any, y: Tensor) -> list[Tensor]:
    return [
        torch.einsum("bi,oi->bo", y, s.w),
        torch.einsum("...i,i->...i", y, s.v),
        torch.einsum("bi,bj,ij->bj", y, y, s.w),
    ]


def _written(y: Tensor) -> list[Tensor]:
    rows = torch.arange(y.shape[0])[:, None]
    return [
        y.index_put((torch.tensor([0, 0]),), y[:2] * 2, accumulate=True),
        torch.index_put(y.mT, (rows, torch.tensor([[0]])), y[:, None, :, 0]).mT,
    ]


def _sampled(y: Tensor) -> list[Tensor]:
    grid = y.sum(1, True)[..., :2].permute(0, 2, 3, 1).expand(-1, -1, -1, 2)
    return [functional.grid_sample(y, grid * 0 + 0.3, align_corners=False)]


def _rows(s: Any, y: Tensor) -> list[Tensor]:
    rows = s.c(y).unflatten(1, (2, -1))
    return [rows[:, 0] * rows[:, 1], y]


def _repeated(s: Any, y: Tensor) -> list[Tensor]:
    return [y.repeat(2, 1)[: y.shape[0]], s.c(y.repeat(1, 2)), y * s.w.repeat(y.shape[0], 1)]


BLOCKS: dict[str, Make] = {
    "attention": around(
        lambda _, y: [functional.scaled_dot_product_attention(y.mT, y.mT, y.mT, scale=0.5).mT, y], rank=1,
        name="a.query"),
    "einsum": around(_products, w=table("units", "units"), v=table("units")),
    "arrange": around(
        lambda _, y: [y.sort(2)[0], y * y.topk(2, 2)[0][..., :1], y * y.kthvalue(2, 2, True)[0], y.cumprod(2),
                      y.cummax(2)[0], y.logcumsumexp(2), y.unfold(2, 2, 1).sum(3)], rank=1),
    "bilinear": around(lambda s, y: [s.b(y, y * 2), y], b=layer(nn.Bilinear, "units", "units", "units")),
    "lstm": around(
        lambda s, y: [s.l(y.mT)[0].mT, s.l(y.mT)[1][0].movedim(0, 2), y], rank=1,
        l=layer(nn.LSTM, "units", "units", batch_first=True)),
    "recurrent": around(
        _run, rank=1, g=layer(nn.GRU, "units", "units", batch_first=True),
        r=layer(nn.RNN, "units", "units", batch_first=True)),
    "lstm_cell": around(lambda s, y: list(s.l(y, (y, y * 2))), l=layer(nn.LSTMCell, "units", "units")),
    "recurrent_cell": around(
        lambda s, y: [s.g(y, y), s.r(y, y)], g=layer(nn.GRUCell, "units", "units"),
        r=layer(nn.RNNCell, "units", "units")),
    "weight_norm": around(
        lambda s, y: [functional.linear(y, aten._weight_norm(s.w, s.g, 0)), y], w=table("units", "units"),
        g=table("units", 1)),
    "cosine_similarity": around(
        lambda s, y: [y * functional.cosine_similarity(y, s.v[None], 1)[:, None]], v=table("units")),
    "cdist": around(lambda _, y: [y * torch.cdist(y[:, None], y[:, None] * 2)[:, 0]]),
    "embedding_bag": around(
        lambda s, y: [y * functional.embedding_bag(torch.tensor([[2, 0], [1, 1]]), s.e.weight)[1]],
        e=layer(nn.Embedding, 4, "units")),
    "index_put": around(lambda _, y: _written(y), rank=1),
    "gather": around(lambda _, y: [y.gather(2, y.argsort(2))], rank=1),
    "scatter": around(
        lambda _, y: [y.scatter(2, y.argmax(2, True), 0.5), y.scatter_add(2, y.argsort(2), y),
                      y.scatter(2, y.argsort(2), y)], rank=1),
    "index_add": around(
        lambda _, y: [y.index_add(2, torch.tensor([1, 1]), y[..., :2]),
                      y.index_copy(2, torch.tensor([1, 0]), y[..., :2])], rank=1),
    "triangle": around(lambda _, y: [y * y.sum(1, True).expand(-1, 3, -1).tril()[:, 1:2]], rank=1),
    "transform": around(
        lambda _, y: [torch.fft.rfft(y, dim=2).abs(), torch.fft.irfft(torch.fft.rfft(y, dim=2), dim=2)], rank=1),
    "view_as_complex": around(lambda _, y: [torch.view_as_complex(y[..., :2].contiguous()).abs()[:, :, None]], rank=1),
    "view_as_real": around(lambda _, y: [torch.view_as_real(torch.complex(y, y * 2)).sum(-1)], rank=1),
    "combine": around(lambda _, y: [torch.complex(y, y * 2).conj().resolve_conj().imag + torch.polar(y.exp(), y).real]),
    "pixel_shuffle": around(
        lambda s, y: [functional.pixel_shuffle(s.c(y), 2), y], rank=2,
        c=lambda units: nn.Conv2d(units, 4 * units, 1)),
    "pixel_unshuffle": around(
        lambda s, y: [s.c(functional.pixel_unshuffle(y[..., :2, :2], 2)), y], rank=2,
        c=lambda units: nn.Conv2d(4 * units, units, 1)),
    "channel_shuffle": around(
        lambda s, y: [s.d(functional.channel_shuffle(s.c(y), 2)), y], rank=2, more=("c",),
        c=lambda units: nn.Conv2d(units, 2 * units, 1), d=lambda units: nn.Conv2d(2 * units, units, 1)),
    "im2col": around(
        lambda s, y: [s.c(functional.unfold(y, 2)), y], rank=2, c=lambda units: nn.Conv1d(4 * units, units, 1)),
    "col2im": around(lambda _, y: [functional.fold(functional.unfold(y, 2), y.shape[2:], 2)], rank=2),
    "grid_sampler": around(lambda _, y: _sampled(y), rank=2),
    "flatten": around(
        lambda _, y: [y.flatten(2), y.flatten(2, 3).flatten(0, 1).unflatten(0, (-1, y.shape[1]))], rank=2),
    "unflatten": around(_rows, c=lambda units: nn.Linear(units, 2 * units)),
    "reshape_as": around(lambda _, y: [y[:, None].view_as(y), y.flatten(2).reshape_as(y)], rank=2),
    "expand_as": around(lambda s, y: [s.v.expand_as(y) * y], v=table("units")),
    "movedim": around(lambda _, y: [y.movedim(1, -1).relu().moveaxis((2,), (1,))], rank=1),
    "swap": around(lambda _, y: [y.swapaxes(1, 2).relu().swapdims(-1, -2)], rank=1),
    "swap_last": around(lambda _, y: [y.mT.relu().adjoint(), y.mH.mT], rank=1),
    "narrow": around(
        lambda s, y: [s.c(y).narrow(1, 0, y.shape[1]), y.narrow(2, 1, 2), y.narrow(1, 0, y.shape[1])], rank=1,
        c=lambda units: nn.Conv1d(units, units + 2, 1)),
    "tile": around(lambda _, y: [y.tile(2), y.tile(1, 1, 3)], rank=1),
    "repeat": around(_repeated, c=lambda units: nn.Linear(2 * units, units), w=table(1, "units")),
    "repeat_interleave": around(
        lambda s, y: [s.c(y.repeat_interleave(2, 1)), y[:, :, None].repeat_interleave(3, 2)],
        c=lambda units: nn.Linear(2 * units, units)),
}  # fmt: skip
