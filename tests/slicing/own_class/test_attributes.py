from typing import Any

import pytest
import torch
from torch import nn

from widthwise.slicing.own_class.attributes import set_sizes
from widthwise.slicing.running.program import Resized


def resized(*numbers: tuple[str, int, int]) -> list[Resized]:
    return [Resized(argument=argument, full=full, kept=kept) for argument, full, kept in numbers]


def shrink(module: nn.Module, shape: tuple[int, ...], name: str = "weight") -> nn.Module:
    setattr(module, name, torch.zeros(shape) if name == "running_mean" else nn.Parameter(torch.zeros(shape)))
    return module


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        (shrink(nn.Linear(6, 8), (4, 3)), {"in_features": 3, "out_features": 4}),
        (shrink(nn.Conv2d(6, 8, 3), (4, 3, 3, 3)), {"in_channels": 3, "out_channels": 4, "groups": 1}),
        (shrink(nn.ConvTranspose1d(6, 8, 3), (3, 4, 3)), {"in_channels": 3, "out_channels": 4}),
        (shrink(nn.BatchNorm2d(8), (4,)), {"num_features": 4}),
        (shrink(nn.InstanceNorm1d(8, affine=True), (4,)), {"num_features": 4}),
        (shrink(nn.BatchNorm1d(8, affine=False), (4,), "running_mean"), {"num_features": 4}),
        (shrink(nn.GroupNorm(2, 8), (4,)), {"num_channels": 4, "num_groups": 2}),
        (shrink(nn.Embedding(9, 8), (9, 4)), {"num_embeddings": 9, "embedding_dim": 4}),
        (shrink(nn.PReLU(8), (4,)), {"num_parameters": 4}),
        (shrink(nn.EmbeddingBag(9, 8), (9, 4)), {"num_embeddings": 9, "embedding_dim": 4}),
        (shrink(nn.Bilinear(6, 7, 8), (4, 3, 2)), {"out_features": 4, "in1_features": 3, "in2_features": 2}),
        (shrink(nn.LayerNorm((5, 8)), (5, 4)), {"normalized_shape": (5, 4)}),
        (shrink(nn.RMSNorm(8), (4,)), {"normalized_shape": (4,)}),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "",
)
def test_a_layer_says_the_sizes_of_its_parameters(module: nn.Module, expected: dict[str, Any]) -> None:
    assert set_sizes(module, [])
    assert {name: getattr(module, name) for name in expected} == expected
    assert all(str(value) in repr(module) for value in list(expected.values())[:1])


def test_a_layer_without_parameters_or_statistics_keeps_its_sizes() -> None:
    norm = nn.BatchNorm1d(8, affine=False, track_running_stats=False)
    set_sizes(norm, [])
    assert norm.num_features == 8


@pytest.mark.parametrize("transposed", [False, True])
def test_groups_that_shrink_are_set(transposed: bool) -> None:
    layer = (nn.ConvTranspose2d if transposed else nn.Conv2d)(8, 8, 3, groups=8)
    shrink(layer, (4, 1, 3, 3))
    set_sizes(layer, resized(("groups", 8, 4)))
    assert (layer.groups, layer.in_channels, layer.out_channels) == (4, 4, 4)


def test_groups_of_a_norm_that_shrink_are_set() -> None:
    norm = shrink(nn.GroupNorm(8, 8), (4,))
    set_sizes(norm, resized(("num_groups", 8, 4)))
    assert (norm.num_groups, norm.num_channels) == (4, 4)


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
@pytest.mark.parametrize("directions", [1, 2])
def test_a_recurrent_layer_says_the_sizes_of_its_parameters(kind: type[nn.RNNBase], directions: int) -> None:
    settings = {"num_layers": 2, "bidirectional": directions == 2, "batch_first": True}
    large, small = kind(6, 8, **settings), kind(3, 5, **settings)
    for (name, _), parameter in zip(list(large.named_parameters()), small.parameters(), strict=True):
        setattr(large, name, parameter)
    assert set_sizes(large, [])
    assert repr(large) == repr(small)
    x = torch.randn(2, 4, 3)
    assert torch.equal(large(x)[0], small(x)[0])


@pytest.mark.filterwarnings("ignore:LSTM with projections:UserWarning")
def test_a_projection_says_its_size() -> None:
    large, small = nn.LSTM(6, 8, proj_size=4), nn.LSTM(3, 5, proj_size=2)
    for (name, _), parameter in zip(list(large.named_parameters()), small.parameters(), strict=True):
        setattr(large, name, parameter)
    set_sizes(large, [])
    assert (large.input_size, large.hidden_size, large.proj_size) == (3, 5, 2)
    x = torch.randn(4, 2, 3)
    assert torch.equal(large(x)[0], small(x)[0])


@pytest.mark.parametrize("kind", [nn.LSTMCell, nn.GRUCell, nn.RNNCell])
def test_a_cell_says_the_sizes_of_its_parameters(kind: type[nn.RNNCellBase]) -> None:
    large, small = kind(6, 8), kind(3, 5)
    for (name, _), parameter in zip(list(large.named_parameters()), small.parameters(), strict=True):
        setattr(large, name, parameter)
    assert set_sizes(large, [])
    assert (large.input_size, large.hidden_size) == (3, 5)


def test_an_attention_says_the_sizes_of_its_parameters() -> None:
    layer = nn.MultiheadAttention(12, 3)
    shrink(layer, (24, 8), "in_proj_weight")
    shrink(layer.out_proj, (8, 8))
    assert set_sizes(layer, [])
    assert (layer.embed_dim, layer.num_heads, layer.head_dim, layer.kdim, layer.vdim) == (8, 2, 4, 8, 8)


def test_an_attention_says_the_sizes_of_its_keys_and_values() -> None:
    layer = nn.MultiheadAttention(12, 3, kdim=6, vdim=7)
    for name, shape in (("q_proj_weight", (8, 8)), ("k_proj_weight", (8, 3)), ("v_proj_weight", (8, 5))):
        shrink(layer, shape, name)
    shrink(layer.out_proj, (8, 8))
    set_sizes(layer, [])
    assert (layer.embed_dim, layer.num_heads, layer.kdim, layer.vdim) == (8, 2, 3, 5)


@pytest.mark.parametrize(
    "layer", [nn.LayerNorm(8, elementwise_affine=False), nn.Unflatten(1, (8, 2)), nn.Flatten(start_dim=2), nn.ReLU()]
)
def test_layers_that_have_no_parameters_are_left_alone(layer: nn.Module) -> None:
    before = repr(layer)
    assert not set_sizes(layer, resized(("size", 8, 4), ("size", 2, 1)))
    assert repr(layer) == before
