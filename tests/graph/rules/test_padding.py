from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.graph.rules.node import Node, randn

aten = torch.ops.aten


@pytest.mark.parametrize("target", [aten.pad.default, aten.constant_pad_nd.default])
@given(st.integers(2, 4), st.integers(2, 4), st.lists(st.integers(0, 2), min_size=3, max_size=3))
def test_padded_axes_keep_their_size_and_others_pass(target: Any, rows: int, channels: int, ends: list[int]) -> None:
    pairs = [ends[0], 0, 0, ends[1], ends[2], 0]
    node = Node(target, randn(rows, channels, 3, 4), pairs)
    assert node.outputs[0][0] == node.inputs[0][0]
    for axis, number in zip((3, 2, 1), ends, strict=True):
        if number:
            assert node.reason(0, axis).endswith(" changes the number of positions along this axis")
        else:
            assert node.outputs[0][axis] == node.inputs[0][axis]
    assert node.check() == "L"


@pytest.mark.parametrize(
    ("target", "rank", "arguments"),
    [
        (aten.upsample_nearest1d.default, 1, ([6],)), (aten.upsample_nearest2d.vec, 2, (None, [2.0, 2.0])),
        (aten.upsample_nearest3d.vec, 3, (None, [2.0, 2.0, 2.0])), (aten.upsample_linear1d.default, 1, ([6], False)),
        (aten.upsample_bilinear2d.vec, 2, (None, False, [2.0, 2.0])),
        (aten.upsample_bicubic2d.default, 2, ([6, 6], False)),
        (aten.upsample_trilinear3d.default, 3, ([6, 6, 6], False)),
    ],
)  # fmt: skip
@given(st.integers(2, 4), st.integers(2, 5))
def test_resampling_keeps_the_positions_and_passes_the_channels(
    target: Any, rank: int, arguments: tuple[Any, ...], rows: int, channels: int
) -> None:
    node = Node(target, randn(rows, channels, *[3] * rank), *arguments)
    assert node.outputs[0][:2] == node.inputs[0][:2]
    assert len(node.atoms) == 2
    assert node.check() == "L"
