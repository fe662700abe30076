from collections.abc import Sequence
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.graph.rules.node import Node, randn
from widthwise.graph import Frozen, Product, size_of

aten = torch.ops.aten
SIZES = st.integers(2, 4)
FACTORS = st.integers(1, 3)


def assert_kept(node: Node, tensor: int, axes: Sequence[int], reason: str) -> None:
    assert all(node.reason(tensor, axis).endswith(reason) for axis in axes)


@given(SIZES, FACTORS)
def test_channels_become_positions_in_whole_blocks(channels: int, factor: int) -> None:
    node = Node(aten.pixel_shuffle.default, randn(2, channels * factor**2, 3, 4), factor)
    made = node.outputs[0][1]
    assert node.inputs[0][1] == (Product((made, Frozen(factor**2, node.inputs[0][1].factors[1].reason)))
                                 if factor > 1 else made)  # fmt: skip
    assert_kept(node, 0, (2, 3), " changes the number of positions along this axis")
    assert len(node.atoms) == 2
    assert node.check() == "L"


@given(SIZES, FACTORS)
def test_positions_become_channels_in_whole_blocks(channels: int, factor: int) -> None:
    node = Node(aten.pixel_unshuffle.default, randn(2, channels, 3 * factor, 2 * factor), factor)
    made = node.outputs[0][1]
    assert (made.factors[0] if isinstance(made, Product) else made) == node.inputs[0][1]
    assert size_of(made) == channels * factor**2
    assert_kept(node, 0, (2, 3), " changes the number of positions along this axis")
    assert node.check() == "L"


def test_images_without_samples_are_shuffled_too() -> None:
    assert Node(aten.pixel_shuffle.default, randn(8, 3, 4), 2).check() == "L"
    assert Node(aten.pixel_unshuffle.default, randn(3, 4, 4), 2).check() == "L"
    assert Node(aten.im2col.default, randn(3, 4, 5), [2, 2], [1, 1], [0, 0], [1, 1]).check() == "L"


@given(SIZES, SIZES, st.integers(0, 2))
def test_channels_are_shuffled_between_groups_whose_number_stays(groups: int, inner: int, rank: int) -> None:
    node = Node(aten.channel_shuffle.default, randn(2, groups * inner, 3, *[2] * rank), groups)
    outer, within = node.inputs[0][1].factors
    assert node.outputs[0][1] == Product((within, outer))
    assert outer.reason == "aten.channel_shuffle has this number of groups"
    assert node.check() == "L"


@given(SIZES, st.integers(3, 4), st.integers(1, 2))
def test_windows_are_an_inner_factor_of_the_channels(channels: int, size: int, stride: int) -> None:
    arguments = ([2, 2], [1, 1], [0, 0], [stride, stride])
    node = Node(aten.im2col.default, randn(2, channels, size, size + 1), *arguments)
    made = node.outputs[0][1]
    assert made.factors[0] == node.inputs[0][1]
    assert_kept(node, 0, (2, 3), " slides along this axis")
    assert node.check() == "L"

    back = Node(aten.col2im.default, node.values[0], [size, size + 1], *arguments)
    assert back.inputs[0][1].factors[0] == back.outputs[0][1]
    assert_kept(back, 0, (2,), " slides along this axis")
    assert back.check() == "L"


@pytest.mark.parametrize(("target", "rank"), [(aten.grid_sampler.default, 2), (aten.grid_sampler_2d.default, 2),
                                              (aten.grid_sampler_3d.default, 3)])  # fmt: skip
def test_sampled_positions_keep_their_number_and_so_do_the_samples(target: Any, rank: int) -> None:
    node = Node(target, randn(2, 3, *[4] * rank), randn(2, *[3] * rank, rank, seed=1).tanh(), 0, 0, False)
    assert set(node.atoms.values()) == {node.inputs[0][1]}
    assert node.outputs[0][1] == node.inputs[0][1]
    assert_kept(node, 0, range(2, 2 + rank), " reads along this axis where its grid says")
    assert_kept(node, 1, range(2 + rank), " reads along this axis where its grid says")
    assert node.check() == "L"
