"""A PointNet: one network for every point, a learned transform, and the maximum over the points."""

from itertools import pairwise

import torch
from torch import Tensor, nn

__all__ = ["PointNet"]


class PointNet(nn.Module):
    """Classifies clouds of points, (batch, coordinates, points)."""

    def __init__(self, *, num_classes: int, coordinates: int = 3) -> None:
        super().__init__()
        self.transform = _Transform(coordinates)
        self.points = _per_point(coordinates, 64, 64, 256)
        self.head = nn.Sequential(nn.Linear(256, 128), nn.BatchNorm1d(128), nn.ReLU(), nn.Linear(128, num_classes))

    def forward(self, x_BCN: Tensor) -> Tensor:
        x_BCN = torch.bmm(self.transform(x_BCN), x_BCN)
        return self.head(self.points(x_BCN).amax(dim=2))


class _Transform(nn.Module):
    def __init__(self, coordinates: int) -> None:
        super().__init__()
        self.coordinates = coordinates
        self.points = _per_point(coordinates, 32, 128)
        self.head = nn.Sequential(nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, coordinates**2))

    def forward(self, x_BCN: Tensor) -> Tensor:
        flat = self.head(torch.max(self.points(x_BCN), 2)[0])
        identity = torch.eye(self.coordinates, device=x_BCN.device)
        return flat.view(-1, self.coordinates, self.coordinates) + identity


def _per_point(*sizes: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, after in pairwise(sizes):
        layers += [nn.Conv1d(before, after, 1), nn.BatchNorm1d(after), nn.ReLU()]
    return nn.Sequential(*layers)
