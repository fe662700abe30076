"""Plain models: no dropout, nothing elastic."""

from widthwise.zoo.models.mlp import MLP, Activation
from widthwise.zoo.models.registry import build_model, list_models
from widthwise.zoo.models.resnet import ResidualBlock, ResidualConvNet

__all__ = ["MLP", "Activation", "ResidualBlock", "ResidualConvNet", "build_model", "list_models"]
