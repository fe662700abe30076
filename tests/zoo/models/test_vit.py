from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from widthwise._shared import RecipeError
from widthwise.measure import count_parameters
from widthwise.zoo import VisionTransformer
from widthwise.zoo.models import Pooling


@settings(max_examples=10)
@given(
    in_channels=st.integers(1, 3),
    num_classes=st.integers(1, 4),
    patch=st.integers(1, 3),
    patches=st.integers(1, 3),
    depth=st.integers(1, 2),
    num_heads=st.integers(1, 2),
    pooling=st.sampled_from(["mean", "cls"]),
)
def test_output_has_one_row_per_sample_and_one_column_per_class(
    in_channels: int, num_classes: int, patch: int, patches: int, depth: int, num_heads: int, pooling: Pooling
) -> None:
    side = patch * patches
    net = VisionTransformer(in_channels, num_classes, side, patch, 4 * num_heads, depth, num_heads, 5, pooling)
    assert net(torch.ones(2, in_channels, side, side)).shape == (2, num_classes)
    assert len(net.positions) == patches**2 + (pooling == "cls")


def test_the_default_has_as_many_parameters_as_its_docstring_says() -> None:
    assert count_parameters(VisionTransformer()) == 1_205_642


def test_the_mean_over_patches_forgets_their_order_but_for_the_positions() -> None:
    net = VisionTransformer(side=8, width=8, depth=1, num_heads=2, hidden=8).double().eval()
    x = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    swapped = x.roll(4, dims=3)  # The two columns of patches change places.
    assert not torch.allclose(net(x), net(swapped), rtol=1e-9)
    torch.nn.init.zeros_(net.positions)
    torch.testing.assert_close(net(x), net(swapped), rtol=1e-12, atol=1e-12)


def test_the_class_token_is_read_from_the_first_place() -> None:
    net = VisionTransformer(side=8, width=8, depth=1, num_heads=2, hidden=8, pooling="cls").eval()
    for parameter in net.blocks.parameters():
        torch.nn.init.zeros_(parameter)  # The stream then keeps what it was given.
    assert net.cls is not None
    torch.nn.init.normal_(net.cls)
    expected = net.head(net.norm(net.cls + net.positions[0]))
    torch.testing.assert_close(net(torch.rand(2, 3, 8, 8)), expected.expand(2, -1))


def test_dropout_works_in_training_only() -> None:
    net, x = VisionTransformer(side=8, width=8, depth=1, num_heads=2, dropout=0.5), torch.ones(2, 3, 8, 8)
    assert not torch.equal(net(x), net(x))
    net.eval()
    assert torch.equal(net(x), net(x))


def test_a_patch_that_does_not_divide_the_side_is_an_error() -> None:
    with pytest.raises(RecipeError) as caught:
        VisionTransformer(side=28, patch=5)
    assert str(caught.value) == "patch must divide the side 28, got 5; write for example patch = 28"


def test_an_unknown_pooling_is_an_error() -> None:
    with pytest.raises(RecipeError) as caught:
        VisionTransformer(pooling="max")  # pyright: ignore[reportArgumentType]
    assert str(caught.value) == "pooling must be one of mean, cls, got 'max'; use one of these"


@pytest.mark.parametrize(
    "name", ["in_channels", "num_classes", "side", "patch", "width", "depth", "num_heads", "hidden"]
)
def test_a_count_that_is_none_is_an_error(name: str) -> None:
    changed: dict[str, Any] = {name: 0}
    with pytest.raises(RecipeError) as caught:
        VisionTransformer(**changed)
    assert str(caught.value) == f"{name} must be a positive integer, got 0; write for example 3"
