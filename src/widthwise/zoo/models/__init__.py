"""Plain models: nothing elastic."""

from widthwise.zoo.models.liif import LIIF, ImageEncoder, ImplicitDecoder
from widthwise.zoo.models.lstm_lm import LSTMLanguageModel, LSTMState
from widthwise.zoo.models.mlp import MLP, Activation
from widthwise.zoo.models.pointnet import PointNet, PointTransform
from widthwise.zoo.models.registry import build_model, draw_weights, list_models
from widthwise.zoo.models.resnet import ResidualBlock, ResidualConvNet
from widthwise.zoo.models.transformer import SelfAttention, TransformerBlock
from widthwise.zoo.models.transformer_lm import TransformerLanguageModel
from widthwise.zoo.models.vit import Pooling, VisionTransformer

__all__ = [
    "LIIF",
    "MLP",
    "Activation",
    "ImageEncoder",
    "ImplicitDecoder",
    "LSTMLanguageModel",
    "LSTMState",
    "PointNet",
    "PointTransform",
    "Pooling",
    "ResidualBlock",
    "ResidualConvNet",
    "SelfAttention",
    "TransformerBlock",
    "TransformerLanguageModel",
    "VisionTransformer",
    "build_model",
    "draw_weights",
    "list_models",
]
