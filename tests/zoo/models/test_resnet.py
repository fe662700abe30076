from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from widthwise._shared import RecipeError
from widthwise.measure import count_call_macs, count_parameters
from widthwise.zoo import ResidualConvNet
from widthwise.zoo.models import ResidualBlock


@settings(deadline=None, max_examples=10)
@given(
    widths=st.lists(st.integers(1, 5), min_size=1, max_size=3),
    blocks=st.integers(1, 2),
    in_channels=st.integers(1, 3),
    num_classes=st.integers(1, 4),
    side=st.integers(7, 10),
)
def test_output_has_one_row_per_sample_and_one_column_per_class(
    widths: list[int], blocks: int, in_channels: int, num_classes: int, side: int
) -> None:
    net = ResidualConvNet(in_channels, num_classes, widths, blocks)
    assert net(torch.ones(2, in_channels, side, side)).shape == (2, num_classes)
    assert sum(isinstance(module, ResidualBlock) for module in net.modules()) == len(widths) * blocks


def test_the_default_costs_less_than_ten_million_multiply_accumulates() -> None:
    net = ResidualConvNet().eval()
    assert count_call_macs(net, (torch.zeros(1, 3, 32, 32),), {}) == 9_535_968
    assert count_parameters(net) == 47_338


def test_every_stage_after_the_first_halves_the_picture() -> None:
    net = ResidualConvNet(widths=(4, 5, 6), blocks=2)
    x = torch.zeros(2, 4, 28, 28)
    shapes = []
    for stage in net.stages.children():
        x = stage(x)
        shapes.append(tuple(x.shape[1:]))
    assert shapes == [(4, 28, 28), (5, 14, 14), (6, 7, 7)]


def test_only_blocks_that_change_the_shape_have_a_projection() -> None:
    net = ResidualConvNet(widths=(4, 4, 6), blocks=2)
    blocks = {name: module for name, module in net.named_modules() if isinstance(module, ResidualBlock)}
    projected = [name for name, block in blocks.items() if not isinstance(block.shortcut, nn.Identity)]
    assert list(blocks) == [f"stages.stage{i}.block{j}" for i in (1, 2, 3) for j in (1, 2)]
    assert projected == ["stages.stage2.block1", "stages.stage3.block1"]


def test_a_block_whose_convolutions_give_nothing_returns_its_positive_input() -> None:
    block = ResidualBlock(3, 3).eval()
    nn.init.zeros_(block.conv2.weight)
    x = torch.randn(2, 3, 5, 5, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(block(x), x.clamp(min=0))


def test_export_traces_it_with_any_batch_and_any_size() -> None:
    net = ResidualConvNet(in_channels=1, widths=(4, 5, 6), blocks=2).eval()
    batch, side = torch.export.Dim("batch"), torch.export.Dim.AUTO
    example = (torch.zeros(2, 1, 28, 28),)
    program = torch.export.export(net, example, dynamic_shapes=({0: batch, 2: side, 3: side},), strict=False)
    x = torch.rand(5, 1, 20, 24, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(program.module()(x), net(x))


@pytest.mark.parametrize("name", ["in_channels", "num_classes", "blocks"])
@pytest.mark.parametrize("value", [0, -1, 1.5, True, "3"])
def test_a_count_that_is_none_is_an_error(name: str, value: Any) -> None:
    with pytest.raises(RecipeError) as caught:
        ResidualConvNet(**{name: value})
    assert str(caught.value) == f"{name} must be a positive integer, got {value!r}; write for example 3"


@pytest.mark.parametrize("widths", [[], [16, 0], [16, 2.5], "16", 16])
def test_widths_that_are_no_channels_are_an_error(widths: Any) -> None:
    with pytest.raises(RecipeError) as caught:
        ResidualConvNet(widths=widths)
    assert str(caught.value) == (
        f"widths must be one or more positive integers (channels of each stage), got {widths!r}; "
        "write for example [16, 24, 48]"
    )
