"""A U-Net: each level of the decoder reads that of the encoder beside what came from below."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

__all__ = ["UNet"]


class UNet(nn.Module):
    """Two convolutions per level, max pooling down, transposed convolutions up, skips by concatenation."""

    def __init__(self, *, channels: Sequence[int], in_channels: int = 3, out_channels: int = 2) -> None:
        super().__init__()
        levels = list(channels)
        self.down = nn.ModuleList(_block(before, after) for before, after in pairwise([in_channels, *levels]))
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(below, above, 2, stride=2) for below, above in pairwise(levels[::-1])
        )
        self.join = nn.ModuleList(_block(2 * above, above) for above in levels[-2::-1])
        self.pool = nn.MaxPool2d(2)
        self.head = nn.Conv2d(levels[0], out_channels, 1)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        skips: list[Tensor] = []
        for level, block in enumerate(self.down):
            x_BCHW = block(x_BCHW if level == 0 else self.pool(x_BCHW))
            skips.append(x_BCHW)
        for up, join, skip in zip(self.up, self.join, skips[-2::-1], strict=True):
            x_BCHW = join(torch.cat([skip, up(x_BCHW)], dim=1))
        return self.head(x_BCHW)


def _block(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, 3, padding=1, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(inplace=True),
        nn.Conv2d(after, after, 3, padding=1, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(inplace=True),
    )
