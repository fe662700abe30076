from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.graph.rules.node import Node, randn

aten = torch.ops.aten
POOLS: list[tuple[int, Any, tuple[Any, ...]]] = [
    (1, aten.max_pool1d.default, ([2],)), (1, aten.avg_pool1d.default, ([2],)),
    (1, aten.adaptive_avg_pool1d.default, ([1],)),
    (1, aten.adaptive_max_pool1d.default, ([2],)), (1, aten.max_pool1d_with_indices.default, ([2],)),
    (2, aten.max_pool2d.default, ([2, 2],)), (2, aten.avg_pool2d.default, ([2, 2],)),
    (2, aten.adaptive_avg_pool2d.default, ([1, 1],)), (2, aten._adaptive_avg_pool2d.default, ([2, 1],)),
    (2, aten.adaptive_max_pool2d.default, ([1, 2],)), (2, aten.max_pool2d_with_indices.default, ([2, 2], [1, 1])),
    (3, aten.max_pool3d.default, ([2, 2, 2],)), (3, aten.avg_pool3d.default, ([2, 2, 2],)),
    (3, aten.adaptive_avg_pool3d.default, ([1, 1, 1],)), (3, aten._adaptive_avg_pool3d.default, ([1, 2, 1],)),
    (3, aten.adaptive_max_pool3d.default, ([1, 1, 1],)), (3, aten.max_pool3d_with_indices.default, ([2, 2, 2],)),
]  # fmt: skip


@pytest.mark.parametrize(("rank", "target", "arguments"), POOLS)
@given(st.integers(2, 3), st.integers(2, 4))
def test_samples_and_channels_pass_and_the_window_slides_along_the_rest(
    rank: int, target: Any, arguments: tuple[Any, ...], rows: int, channels: int
) -> None:
    node = Node(target, randn(rows, channels, *[4] * rank), *arguments)
    assert all(axes[:2] == node.inputs[0][:2] for axes in node.outputs)
    assert len(node.atoms) == 2
    assert all(node.reason(0, 2 + axis).endswith(" slides along this axis") for axis in range(rank))
    assert node.check() == "L"


def test_a_picture_without_samples_is_pooled_alike() -> None:
    node = Node(aten.max_pool2d.default, randn(3, 4, 4), [2, 2])
    assert node.outputs[0][0] == node.inputs[0][0]
    assert node.check() == "L"
