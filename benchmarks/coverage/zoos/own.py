"""The networks of this benchmark's own."""

from collections.abc import Callable

import torch
from torch import nn

from benchmarks.coverage.own.autoencoder import TiedAutoencoder
from benchmarks.coverage.own.gpt import SmallGPT
from benchmarks.coverage.own.graph_convolution import GraphConvolution
from benchmarks.coverage.own.implicit import ImplicitImage
from benchmarks.coverage.own.pointnet import PointNet
from benchmarks.coverage.own.recurrent import RecurrentLanguageModel
from benchmarks.coverage.own.unet import UNet
from benchmarks.coverage.own.wavenet import WaveNet
from benchmarks.coverage.subject import Inputs, Subject

__all__ = ["list_own"]


def list_own() -> list[Subject]:
    """Return the subjects that are written here."""
    return [Subject(zoo="own", name=name, build=build) for name, build in _BUILDERS.items()]


def _tokens() -> torch.Tensor:
    return torch.randint(50, (2, 12))


def _build_gpt(*, num_blocks: int) -> tuple[nn.Module, Inputs]:
    return SmallGPT(vocabulary=50, width=64, num_heads=4, num_blocks=num_blocks, context=16), (_tokens(),)


def _build_graph() -> tuple[nn.Module, Inputs]:
    adjacency_BNN = (torch.rand(2, 9, 9) < 0.3).float()
    return GraphConvolution(in_features=7, hidden=48, num_classes=5), (torch.randn(2, 9, 7), adjacency_BNN)


_BUILDERS: dict[str, Callable[[], tuple[nn.Module, Inputs]]] = {
    "U-Net with skips": lambda: (UNet(channels=(16, 32, 64)), (torch.randn(2, 3, 32, 32),)),
    "WaveNet": lambda: (WaveNet(channels=32, num_layers=6), (torch.randn(2, 1, 200),)),
    "LSTM language model": lambda: (RecurrentLanguageModel(nn.LSTM, vocabulary=50, hidden=64), (_tokens(),)),
    "GRU language model": lambda: (RecurrentLanguageModel(nn.GRU, vocabulary=50, hidden=64), (_tokens(),)),
    "nanoGPT": lambda: _build_gpt(num_blocks=3),
    "nanoGPT of 48 blocks": lambda: _build_gpt(num_blocks=48),
    "graph convolution": _build_graph,
    "PointNet": lambda: (PointNet(num_classes=10), (torch.randn(2, 3, 64),)),
    "autoencoder with tied weights": lambda: (TiedAutoencoder(sizes=(64, 96, 24)), (torch.randn(2, 64),)),
    "implicit image": lambda: (ImplicitImage(hidden=64, num_layers=4), (torch.rand(2, 20, 2),)),
}
