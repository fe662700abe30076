"""A WaveNet: dilated causal convolutions with gates, a residual stream and a sum of skips."""

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["WaveNet"]


class WaveNet(nn.Module):
    """Each layer splits one convolution into a filter and a gate."""

    def __init__(self, *, channels: int, num_layers: int, skip_channels: int = 48, out_channels: int = 16) -> None:
        super().__init__()
        self.first = nn.Conv1d(1, channels, 1)
        self.layers = nn.ModuleList(_Layer(channels, skip_channels, 2 ** (i % 4)) for i in range(num_layers))
        self.head = nn.Sequential(
            nn.ReLU(), nn.Conv1d(skip_channels, skip_channels, 1), nn.ReLU(), nn.Conv1d(skip_channels, out_channels, 1)
        )

    def forward(self, x_BCT: Tensor) -> Tensor:
        x_BCT = self.first(x_BCT)
        total_BST: Tensor | float = 0.0
        for layer in self.layers:
            x_BCT, skip_BST = layer(x_BCT)
            total_BST = total_BST + skip_BST
        assert isinstance(total_BST, Tensor)
        return self.head(total_BST)


class _Layer(nn.Module):
    def __init__(self, channels: int, skip_channels: int, dilation: int) -> None:
        super().__init__()
        self.pad = dilation
        self.gated = nn.Conv1d(channels, 2 * channels, 2, dilation=dilation)
        self.residual = nn.Conv1d(channels, channels, 1)
        self.skip = nn.Conv1d(channels, skip_channels, 1)

    def forward(self, x_BCT: Tensor) -> tuple[Tensor, Tensor]:
        filtered, gate = self.gated(functional.pad(x_BCT, (self.pad, 0))).chunk(2, dim=1)
        y_BCT = torch.tanh(filtered) * torch.sigmoid(gate)
        return x_BCT + self.residual(y_BCT), self.skip(y_BCT)
