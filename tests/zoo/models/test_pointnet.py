from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from widthwise._shared import RecipeError
from widthwise.measure import count_call_macs, count_parameters
from widthwise.zoo import PointNet
from widthwise.zoo.models import PointTransform

SMALL: dict[str, Any] = {"num_classes": 4, "point_sizes": (5, 7), "head_sizes": (6,)}


@settings(max_examples=10)
@given(
    num_classes=st.integers(1, 4),
    point_sizes=st.lists(st.integers(1, 5), min_size=1, max_size=3),
    head_sizes=st.lists(st.integers(1, 5), min_size=1, max_size=2),
    coordinates=st.integers(2, 4),
    num_points=st.integers(1, 6),
)
def test_output_has_one_row_per_cloud_and_one_column_per_class(
    num_classes: int, point_sizes: list[int], head_sizes: list[int], coordinates: int, num_points: int
) -> None:
    net = PointNet(num_classes, point_sizes, head_sizes, coordinates)
    assert net(torch.rand(2, num_points, coordinates)).shape == (2, num_classes)
    convolutions = [module for module in net.modules() if isinstance(module, nn.Conv1d)]
    assert [module.out_channels for module in convolutions] == point_sizes


def test_the_default_has_the_size_that_its_docstring_says() -> None:
    net = PointNet()
    assert count_parameters(net) == 817_054
    assert count_call_macs(net.eval(), (torch.zeros(1, 1024, 3),), {}) == 151_854_592
    assert count_parameters(PointNet(transform=True)) - count_parameters(net) == 803_081


@pytest.mark.parametrize("transform", [False, True])
def test_the_order_of_the_points_does_not_matter_nor_how_often_one_comes(transform: bool) -> None:
    net = PointNet(transform=transform, **SMALL).double().eval()
    for parameter in net.parameters():
        nn.init.normal_(parameter, std=0.3)
    x = torch.rand(2, 9, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    order = torch.tensor([3, 1, 4, 1, 5, 0, 2, 6, 8, 7, 7])
    torch.testing.assert_close(net(x[:, order]), net(x), rtol=1e-12, atol=1e-12)


def test_the_transform_begins_as_the_identity_and_turns_the_points() -> None:
    net = PointTransform(3).eval()
    x = torch.rand(2, 5, 3)
    assert torch.equal(net(x), torch.eye(3).expand(2, 3, 3))
    nn.init.ones_(net.head.bias)
    assert torch.equal(net(x), torch.eye(3).expand(2, 3, 3) + 1)
    plain, turned = PointNet(**SMALL).eval(), PointNet(transform=True, **SMALL).eval()
    turned.load_state_dict(plain.state_dict(), strict=False)
    torch.testing.assert_close(turned(x), plain(x))
    assert turned.transform is not None
    nn.init.ones_(turned.transform.head.bias)
    torch.testing.assert_close(turned(x), plain(x + x.sum(dim=2, keepdim=True)))


def test_dropout_works_in_training_only() -> None:
    net, x = PointNet(dropout=0.5, **{**SMALL, "head_sizes": (64,)}), torch.rand(4, 5, 3)
    assert not torch.equal(net(x), net(x))
    net.eval()
    assert torch.equal(net(x), net(x))


@pytest.mark.parametrize("name", ["num_classes", "coordinates"])
def test_a_count_that_is_none_is_an_error(name: str) -> None:
    changed: dict[str, Any] = {name: 0}
    with pytest.raises(RecipeError) as caught:
        PointNet(**changed)
    assert str(caught.value) == f"{name} must be a positive integer, got 0; write for example 3"


@pytest.mark.parametrize(
    ("name", "what", "example"),
    [
        ("point_sizes", "features after each layer", "[64, 64, 64, 128, 1024]"),
        ("head_sizes", "units of each hidden layer", "[512, 256]"),
    ],
)
def test_sizes_that_are_none_are_an_error(name: str, what: str, example: str) -> None:
    changed: dict[str, Any] = {name: []}
    with pytest.raises(RecipeError) as caught:
        PointNet(**changed)
    assert str(caught.value) == (
        f"{name} must be one or more positive integers ({what}), got []; write for example {example}"
    )


def test_a_share_that_is_none_is_an_error() -> None:
    with pytest.raises(RecipeError, match=r"^dropout must be a number from 0 to below 1, got 1;"):
        PointNet(dropout=1)
