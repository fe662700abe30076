"""A picture as a continuous function: an encoder of the small picture, and a decoder that tells the colour anywhere."""

# B batch, C features, H, W sizes of the small picture, Q places asked for, K = 3 colours
from collections.abc import Sequence
from itertools import product

import torch
from torch import Tensor, nn
from torch.nn import functional

from widthwise._shared import RecipeError
from widthwise.zoo.models.count import check_counts, check_sizes

__all__ = ["LIIF", "ImageEncoder", "ImplicitDecoder"]

# A place on the border of two cells belongs to one of them, whatever the rounding.
_ASIDE = 1e-6


class LIIF(nn.Module):
    """Tell the colours of a picture at any places, and so at any resolution, from a small picture.

    Follows [Chen2021]: features of the four cells around a place, each with its eight neighbours, give four colours,
    which count by the area opposite to them. The encoder is that of [Lim2017] without its upsampling. The decoder has
    the skip of [Knodt2022]: the units of its first layer come back, unit by unit between those of a later one, so that
    a prefix of both stays a prefix. What comes out is a difference to the bicubic picture: with all weights at zero the
    network is that. By default 422,819 parameters, and 1.35 million multiply-accumulates for each place besides
    those of the encoder. The parameters start as PyTorch initialises them.

    [Chen2021]: Chen, Liu, Wang, "Learning Continuous Image Representation with Local Implicit Image Function", CVPR
    2021. [Lim2017]: Lim et al., "Enhanced Deep Residual Networks for Single Image Super-Resolution", CVPRW 2017.
    [Knodt2022]: Knodt, "Structural Dropout for Model Width Compression", arXiv 2205.06906.

    Args:
        channels: features of the encoder.
        blocks: residual blocks of the encoder.
        hidden: units of each hidden layer of the decoder.
        skip_to: the hidden layer that the first one comes back at, counted from 0; None for none.
        ensemble: take four cells for each place, and not the nearest one alone.

    Raises:
        RecipeError: sizes are not positive integers, or `skip_to` is no later layer.

    Example:
        >>> net = LIIF(channels=8, blocks=1, hidden=[16, 16, 16])
        >>> places, cell = torch.zeros(2, 5, 2), torch.full((2, 5, 2), 0.1)
        >>> net(torch.rand(2, 3, 6, 6), places, cell).shape
        torch.Size([2, 5, 3])
    """

    def __init__(
        self,
        channels: int = 32,
        blocks: int = 4,
        hidden: Sequence[int] = (256, 256, 256, 256),
        skip_to: int | None = 2,
        ensemble: bool = True,
    ) -> None:
        super().__init__()
        self.encoder = ImageEncoder(channels, blocks)
        self.decoder = ImplicitDecoder(9 * channels + 4, hidden, skip_to)
        self.ensemble = ensemble

    def forward(self, x_BKHW: Tensor, places_BQ2: Tensor, cell_BQ2: Tensor) -> Tensor:
        """Return colours (B, Q, K).

        Args:
            x_BKHW: the small picture, colours in 0..1.
            places_BQ2: (y, x) in -1..1, from edge to edge.
            cell_BQ2: height and width there of the pixel that is asked for, in the same unit.
        """
        features_BCHW = self.encoder(x_BKHW)
        near_BCHW = functional.unfold(features_BCHW, 3, padding=1).unflatten(2, features_BCHW.shape[2:])
        size_2 = torch.tensor(x_BKHW.shape[2:], dtype=x_BKHW.dtype, device=x_BKHW.device)
        corners = product((-1.0, 1.0), repeat=2) if self.ensemble else [(0.0, 0.0)]
        colours, areas = zip(
            *(self._look(near_BCHW, places_BQ2, cell_BQ2, size_2, corner) for corner in corners), strict=True
        )
        shares_BQ = torch.stack(areas[::-1]) / sum(areas)
        weighed = [share_BQ[..., None] * told_BQK for share_BQ, told_BQK in zip(shares_BQ, colours, strict=True)]
        return _sample(x_BKHW, places_BQ2, "bicubic", padding_mode="border") + sum(weighed)

    def _look(
        self, near_BCHW: Tensor, places_BQ2: Tensor, cell_BQ2: Tensor, size_2: Tensor, corner: Sequence[float]
    ) -> tuple[Tensor, Tensor]:
        """Return the colours that the cell at a corner of the places tells, and the area between it and them."""
        moved_BQ2 = places_BQ2 + places_BQ2.new_tensor(corner) / size_2 + _ASIDE
        moved_BQ2 = moved_BQ2.clamp(-1 + _ASIDE, 1 - _ASIDE)
        centre_BQ2 = ((moved_BQ2 + 1) / 2 * size_2).floor().add(0.5) / size_2 * 2 - 1
        away_BQ2 = (places_BQ2 - centre_BQ2) * size_2
        near_BQC = _sample(near_BCHW, centre_BQ2, "nearest")
        colours_BQK = self.decoder(torch.cat([near_BQC, away_BQ2, cell_BQ2 * size_2], dim=2))
        return colours_BQK, away_BQ2.prod(dim=2).abs() + 1e-9


class ImageEncoder(nn.Module):
    """Features of each pixel: a residual network of convolutions without norms, of one resolution."""

    def __init__(self, channels: int, blocks: int) -> None:
        super().__init__()
        check_counts(channels=channels, blocks=blocks)
        self.stem = nn.Conv2d(3, channels, 3, padding=1)
        self.blocks = nn.ModuleList(_Block(channels) for _ in range(blocks))
        self.last = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x_BKHW: Tensor) -> Tensor:
        """Return (B, C, H, W)."""
        stem_BCHW = features_BCHW = self.stem(x_BKHW - 0.5)
        for block in self.blocks:
            features_BCHW = block(features_BCHW)
        return self.last(features_BCHW) + stem_BCHW


class ImplicitDecoder(nn.Module):
    """An MLP from features of a place to its colour, with a skip from its first hidden layer to a later one."""

    def __init__(self, inputs: int, hidden: Sequence[int], skip_to: int | None) -> None:
        super().__init__()
        check_sizes("hidden", hidden, what="units of each hidden layer", example="[256, 256, 256, 256]")
        if skip_to is not None and (not 1 < skip_to < len(hidden) or hidden[skip_to - 1] != hidden[0]):
            raise RecipeError(
                "skip_to must be a hidden layer after the second, counted from 0, whose inputs are as many as the "
                f"first layer has units, got {skip_to!r} for hidden={list(hidden)}; leave it out with skip_to=None"
            )
        widths = [inputs, *hidden]
        self.layers = nn.ModuleList(
            nn.Linear(size * (2 if i == skip_to else 1), widths[i + 1]) for i, size in enumerate(widths[:-1])
        )
        self.head = nn.Linear(hidden[-1], 3)
        self.skip_to = skip_to

    def forward(self, x_BQC: Tensor) -> Tensor:
        """Return (B, Q, K)."""
        first_BQC = x_BQC
        for i, layer in enumerate(self.layers):
            if i == self.skip_to:
                # Unit by unit: a prefix of what comes in then holds a prefix of both.
                x_BQC = torch.stack([x_BQC, first_BQC], dim=-1).flatten(2)
            x_BQC = functional.relu(layer(x_BQC))
            if i == 0:
                first_BQC = x_BQC
        return self.head(x_BQC)


class _Block(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        return x_BCHW + self.conv2(functional.relu(self.conv1(x_BCHW)))


def _sample(x_BCHW: Tensor, places_BQ2: Tensor, mode: str, padding_mode: str = "zeros") -> Tensor:
    """Return what stands at the places, (B, Q, C)."""
    grid_B1Q2 = places_BQ2.flip(2)[:, None]
    found_BC1Q = functional.grid_sample(x_BCHW, grid_B1Q2, mode=mode, padding_mode=padding_mode, align_corners=False)
    return found_BC1Q[:, :, 0].transpose(1, 2)
