"""A graph convolution on dense adjacency: neighbours are averaged by a matrix product."""

from itertools import pairwise

import torch
from torch import Tensor, nn

__all__ = ["GraphConvolution"]


class GraphConvolution(nn.Module):
    """Three layers with self loops and symmetric normalisation, then the mean over the nodes."""

    def __init__(self, *, in_features: int, hidden: int, num_classes: int) -> None:
        super().__init__()
        sizes = [in_features, hidden, hidden, hidden]
        self.layers = nn.ModuleList(nn.Linear(before, after) for before, after in pairwise(sizes))
        self.head = nn.Linear(hidden, num_classes)

    def forward(self, x_BNF: Tensor, adjacency_BNN: Tensor) -> Tensor:
        looped_BNN = adjacency_BNN + torch.eye(adjacency_BNN.shape[-1], device=x_BNF.device)
        scale_BN = looped_BNN.sum(dim=-1).rsqrt()
        looped_BNN = scale_BN.unsqueeze(-1) * looped_BNN * scale_BN.unsqueeze(-2)
        for layer in self.layers:
            x_BNF = torch.relu(torch.bmm(looped_BNN, layer(x_BNF)))
        return self.head(x_BNF.mean(dim=1))
