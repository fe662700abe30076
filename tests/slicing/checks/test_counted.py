from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tests.graph.rules.node import randn
from widthwise.slicing.checks.counted import find_counted

aten = torch.ops.aten
Plain = Callable[[Tensor], Any]
CASES: list[tuple[Any, dict[str, Any], Plain]] = [
    (aten.mean.dim, {"dim": [1], "keepdim": True}, lambda x: x.mean(1, True)),
    (aten.mean.default, {}, lambda x: x.mean()),
    (aten.var.dim, {"dim": [-1], "unbiased": False, "keepdim": False}, lambda x: x.var(1, unbiased=False)),
    (aten.var.correction, {"dim": None, "correction": None}, lambda x: x.var()),
    (
        aten.std.correction,
        {"dim": [1], "correction": 0, "keepdim": True},
        lambda x: x.std(1, correction=0, keepdim=True),
    ),
    (aten.std.default, {"unbiased": True}, lambda x: x.std()),
    (aten.var_mean.correction, {"dim": [1], "correction": 0}, lambda x: torch.var_mean(x, 1, correction=0)),
    (aten.std_mean.dim, {"dim": [1], "unbiased": False}, lambda x: torch.std_mean(x, 1, correction=0)),
    (aten.amax.default, {"dim": [1], "keepdim": True}, lambda x: x.amax(1, True)),
    (aten.amin.default, {"dim": []}, lambda x: x.amin()),
    (aten.max.default, {}, lambda x: x.max()),
    (aten.min.default, {}, lambda x: x.min()),
    (aten.logsumexp.default, {"dim": [1]}, lambda x: x.logsumexp(1)),
]


@pytest.mark.parametrize(("target", "arguments", "plain"), CASES)
@given(st.integers(2, 4), st.integers(2, 6), st.integers(2, 6))
def test_the_masked_value_is_that_of_the_kept_units_alone(
    target: Any, arguments: dict[str, Any], plain: Plain, rows: int, units: int, kept: int
) -> None:
    x, mask = randn(rows, units), torch.zeros(rows, units, dtype=torch.bool)
    mask[:, : min(kept, units)] = True
    handler = find_counted(target)
    assert handler is not None
    torch.testing.assert_close(handler(arguments, x, mask), plain(x[:, : min(kept, units)]), rtol=1e-12, atol=1e-12)


@given(st.integers(2, 4), st.integers(2, 6), st.integers(1, 6), st.booleans())
def test_norms_of_the_last_axes_count_the_kept_units_alone(rows: int, units: int, kept: int, affine: bool) -> None:
    kept = min(kept, units)
    x, gain, bias = randn(rows, units), randn(units), randn(units, seed=1)
    mask = torch.zeros(rows, units, dtype=torch.bool)
    mask[:, :kept] = True
    scale = {"weight": gain, "bias": bias} if affine else {}
    cut = [each[:kept] for each in scale.values()]
    layer, rms = find_counted(aten.layer_norm.default), find_counted(aten.rms_norm.default)
    assert layer is not None
    assert rms is not None
    got = layer({"normalized_shape": [units], "eps": 1e-5, **scale}, x, mask)[:, :kept]
    torch.testing.assert_close(got, torch.layer_norm(x[:, :kept], [kept], *cut), rtol=1e-12, atol=1e-12)
    got = rms({"normalized_shape": [units], "eps": None, **dict(list(scale.items())[:1])}, x, mask)[:, :kept]
    torch.testing.assert_close(got, torch.rms_norm(x[:, :kept], [kept], *cut[:1]), rtol=1e-12, atol=1e-12)


@given(st.integers(1, 3), st.integers(2, 4), st.integers(1, 4), st.booleans())
def test_group_norm_counts_the_kept_channels_of_each_group(groups: int, channels: int, kept: int, affine: bool) -> None:
    kept, total = min(kept, channels), groups * channels
    x, scale = (
        randn(2, total, 3),
        {"weight": randn(total) if affine else None, "bias": randn(total) if affine else None},
    )
    places = (torch.arange(total) % channels) < kept
    handler = find_counted(aten.group_norm.default)
    assert handler is not None
    got = handler({"num_groups": groups, "eps": 1e-5, **scale}, x, places[None, :, None].expand(2, total, 3))
    cut = [None if each is None else each[places] for each in scale.values()]
    torch.testing.assert_close(got[:, places], torch.group_norm(x[:, places], groups, *cut), rtol=1e-12, atol=1e-12)


@given(st.integers(2, 4), st.integers(2, 4), st.integers(1, 5), st.booleans())
def test_batch_norm_of_its_own_statistics_counts_the_kept_positions(
    channels: int, units: int, kept: int, affine: bool
) -> None:
    kept = min(kept, units)
    x, mask = randn(1, channels, units * 3), torch.zeros(1, channels, units * 3, dtype=torch.bool)
    mask[..., : kept * 3] = True
    scale = {"weight": randn(channels) if affine else None, "bias": randn(channels, seed=1) if affine else None}
    rest = {"running_mean": None, "running_var": None, "training": True, "momentum": 0.0, "eps": 1e-6}
    handler = find_counted(aten.batch_norm.default)
    assert handler is not None
    got = handler({**scale, **rest}, x, mask)[..., : kept * 3]
    expected = torch.nn.functional.batch_norm(x[..., : kept * 3], **scale, **rest)
    torch.testing.assert_close(got, expected, rtol=1e-12, atol=1e-12)


def test_batch_norm_of_known_statistics_carries_its_channels() -> None:
    handler = find_counted(aten.batch_norm.default)
    x, each = randn(2, 3, 4), randn(3)
    assert handler is not None
    arguments = {
        "input": x, "weight": each, "bias": each, "running_mean": each, "running_var": each.exp(), "training": False,
        "momentum": 0.1, "eps": 1e-5, "cudnn_enabled": False,
    }  # fmt: skip
    expected = torch.nn.functional.batch_norm(x, each, each.exp(), each, each)
    assert torch.equal(handler(arguments, x, torch.ones_like(x, dtype=torch.bool)), expected)


@pytest.mark.parametrize("target", [aten.sum.default, aten.max.dim, aten.relu.default, max])
def test_other_operators_compute_on_zeros(target: Any) -> None:
    assert find_counted(target) is None
