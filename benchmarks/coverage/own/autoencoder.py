"""An autoencoder whose decoder reads the encoder's weights, transposed."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["TiedAutoencoder"]


class TiedAutoencoder(nn.Module):
    """Linear layers with tanh; each has one weight for both directions, and a bias for each."""

    def __init__(self, *, sizes: Sequence[int]) -> None:
        super().__init__()
        pairs = list(pairwise(sizes))
        self.encoder = nn.ModuleList(nn.Linear(before, after) for before, after in pairs)
        self.biases = nn.ParameterList(nn.Parameter(torch.zeros(before)) for before, _ in pairs)

    def forward(self, x_BI: Tensor) -> Tensor:
        for layer in self.encoder:
            x_BI = torch.tanh(layer(x_BI))
        last = len(self.biases) - 1
        for place in range(last, -1, -1):
            x_BI = functional.linear(x_BI, self.encoder[place].weight.t(), self.biases[place])
            x_BI = x_BI if place == 0 else torch.tanh(x_BI)
        return x_BI
