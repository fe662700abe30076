from typing import Any

import pytest
import torch
from torch import nn

from widthwise.slicing.attributes import set_sizes
from widthwise.slicing.program import Resized


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
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "",
)
def test_a_layer_says_the_sizes_of_its_parameters(module: nn.Module, expected: dict[str, Any]) -> None:
    set_sizes(module, [], own_attributes=False)
    assert {name: getattr(module, name) for name in expected} == expected
    assert all(str(value) in repr(module) for value in list(expected.values())[:1])


def test_a_layer_without_parameters_or_statistics_keeps_its_sizes() -> None:
    norm = nn.BatchNorm1d(8, affine=False, track_running_stats=False)
    set_sizes(norm, [], own_attributes=False)
    assert norm.num_features == 8


@pytest.mark.parametrize("transposed", [False, True])
def test_groups_that_shrink_are_set(transposed: bool) -> None:
    layer = (nn.ConvTranspose2d if transposed else nn.Conv2d)(8, 8, 3, groups=8)
    shrink(layer, (4, 1, 3, 3))
    set_sizes(layer, resized(("groups", 8, 4)), own_attributes=False)
    assert (layer.groups, layer.in_channels, layer.out_channels) == (4, 4, 4)


@pytest.mark.parametrize("affine", [False, True])
def test_a_layer_norm_takes_the_shape_that_its_operator_takes(affine: bool) -> None:
    norm = nn.LayerNorm((5, 8), elementwise_affine=affine)
    set_sizes(norm, resized(("normalized_shape", 8, 4)), own_attributes=False)
    assert norm.normalized_shape == (5, 4)


def test_an_unflatten_takes_the_size_that_its_operator_takes() -> None:
    layer = nn.Unflatten(1, torch.Size((8, 2)))
    set_sizes(layer, resized(("size", 8, 4)), own_attributes=False)
    assert layer.unflattened_size == (4, 2)
    assert layer(torch.zeros(3, 8)).shape == (3, 4, 2)


class Own(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.width, self.is_wide, self.shape, self.other, self.mixed = 8, True, (8, 3), 5, ("a", 8)


def test_own_attributes_that_hold_a_size_are_set_where_asked_for() -> None:
    module = Own()
    set_sizes(module, resized(("size", 8, 4)), own_attributes=False)
    assert module.width == 8
    set_sizes(module, resized(("size", 8, 4), ("size", 1, 9)), own_attributes=True)
    assert (module.width, module.shape, module.other, module.mixed) == (4, (4, 3), 5, ("a", 4))
    assert module.is_wide is True


def test_own_attributes_are_left_alone_where_it_is_not_clear_which_size_they_hold() -> None:
    module = Own()
    set_sizes(module, resized(("size", 8, 4), ("size", 8, 2)), own_attributes=True)
    assert module.width == 8


def test_attributes_of_layers_without_sizes_are_never_taken_for_one() -> None:
    layer = nn.Flatten(start_dim=2)
    set_sizes(layer, resized(("size", 2, 1)), own_attributes=True)
    assert layer.start_dim == 2
