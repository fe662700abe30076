"""A PointNet: one network for every point, and the maximum over the points."""

# B batch, P points, C = 3 coordinates, F features of a point, K classes
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from widthwise.zoo.models.count import check_counts, check_share, check_sizes

__all__ = ["PointNet", "PointTransform"]

# Of the network that gives the transform, in the paper.
_TRANSFORM_POINT_SIZES, _TRANSFORM_HEAD_SIZES = (64, 128, 1024), (512, 256)


class PointNet(nn.Module):
    """Apply the same layers to each point, take the maximum of each feature over the points, and classify that.

    Follows [Qi2017], figure 2, without its transform of features; the transform of the input is left out unless asked
    for. Each layer is linear, with BatchNorm and ReLU. By default 817,054 parameters, and 152 million
    multiply-accumulates on 1024 points. The parameters start as PyTorch initialises them.

    [Qi2017]: Qi, Su, Mo, Guibas, "PointNet: Deep Learning on Point Sets for 3D Classification and Segmentation",
    CVPR 2017.

    Args:
        num_classes: outputs of the head.
        point_sizes: features of a point after each layer.
        head_sizes: units of each hidden layer of the classifier.
        coordinates: numbers that describe a point.
        transform: first turn each cloud by a matrix that a network of its own finds (the paper's T-Net, 803,081
            parameters more).
        dropout: share of the last hidden layer that is dropped in training; 0.3 in the paper.

    Raises:
        RecipeError: sizes are not one or more positive integers, or another argument is out of range.

    Example:
        >>> PointNet(num_classes=30)(torch.rand(2, 1024, 3)).shape
        torch.Size([2, 30])
    """

    def __init__(
        self,
        num_classes: int = 30,
        point_sizes: Sequence[int] = (64, 64, 64, 128, 1024),
        head_sizes: Sequence[int] = (512, 256),
        coordinates: int = 3,
        transform: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        check_counts(num_classes=num_classes, coordinates=coordinates)
        check_sizes("point_sizes", point_sizes, what="features after each layer", example="[64, 64, 64, 128, 1024]")
        check_sizes("head_sizes", head_sizes, what="units of each hidden layer", example="[512, 256]")
        check_share("dropout", dropout)
        self.transform = PointTransform(coordinates) if transform else None
        self.points = _make_point_layers([coordinates, *point_sizes])
        self.classifier = _make_head_layers([point_sizes[-1], *head_sizes])
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(head_sizes[-1], num_classes)

    def forward(self, x_BPC: Tensor) -> Tensor:
        """Return the outputs (B, K), without softmax, for clouds of any number of points in any order."""
        if self.transform is not None:
            x_BPC = x_BPC @ self.transform(x_BPC)
        x_BF = self.points(x_BPC.transpose(1, 2)).amax(dim=2)
        return self.head(self.dropout(self.classifier(x_BF)))


class PointTransform(nn.Module):
    """Find a square matrix for each cloud, to multiply its points by; before training it is the identity."""

    def __init__(self, coordinates: int) -> None:
        super().__init__()
        self.points = _make_point_layers([coordinates, *_TRANSFORM_POINT_SIZES])
        self.classifier = _make_head_layers([_TRANSFORM_POINT_SIZES[-1], *_TRANSFORM_HEAD_SIZES])
        self.head = nn.Linear(_TRANSFORM_HEAD_SIZES[-1], coordinates**2)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Begin with the identity."""
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, x_BPC: Tensor) -> Tensor:
        """Return (B, C, C)."""
        size = x_BPC.shape[2]
        x_BF = self.points(x_BPC.transpose(1, 2)).amax(dim=2)
        identity_CC = torch.eye(size, device=x_BPC.device, dtype=x_BPC.dtype)
        return self.head(self.classifier(x_BF)).unflatten(1, (size, size)) + identity_CC


def _make_point_layers(sizes: Sequence[int]) -> nn.Sequential:
    """Return `conv1`, `norm1`, `activation1`, `conv2`, ..."""
    layers = nn.Sequential()
    for i, (inputs, outputs) in enumerate(pairwise(sizes), start=1):
        layers.add_module(f"conv{i}", nn.Conv1d(inputs, outputs, 1))
        layers.add_module(f"norm{i}", nn.BatchNorm1d(outputs))
        layers.add_module(f"activation{i}", nn.ReLU())
    return layers


def _make_head_layers(sizes: Sequence[int]) -> nn.Sequential:
    """Return `fc1`, `norm1`, `activation1`, `fc2`, ..."""
    layers = nn.Sequential()
    for i, (inputs, outputs) in enumerate(pairwise(sizes), start=1):
        layers.add_module(f"fc{i}", nn.Linear(inputs, outputs))
        layers.add_module(f"norm{i}", nn.BatchNorm1d(outputs))
        layers.add_module(f"activation{i}", nn.ReLU())
    return layers
