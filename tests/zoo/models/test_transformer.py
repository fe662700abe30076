import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.functional import gelu

from widthwise._shared import RecipeError
from widthwise.zoo.models import SelfAttention, TransformerBlock
from widthwise.zoo.models.transformer import initialise_transformer, make_blocks


def draw(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def attend(attention: SelfAttention, x: Tensor) -> Tensor:
    """The formula, head by head."""
    size, length = attention.head_width, x.shape[1]
    query, key, value = (project(x) for project in (attention.query, attention.key, attention.value))
    outs = []
    for i in range(attention.num_heads):
        part = slice(i * size, (i + 1) * size)
        scores = query[..., part] @ key[..., part].transpose(1, 2) / math.sqrt(size)
        if attention.causal:
            scores = scores.masked_fill(torch.ones(length, length).triu(1).bool(), -math.inf)
        outs.append(scores.softmax(dim=2) @ value[..., part])
    return attention.out(torch.cat(outs, dim=2))


@given(
    num_heads=st.integers(1, 3),
    head_width=st.integers(1, 4),
    batch=st.integers(1, 3),
    length=st.integers(1, 5),
    causal=st.booleans(),
)
def test_attention_is_its_formula(num_heads: int, head_width: int, batch: int, length: int, causal: bool) -> None:
    attention = SelfAttention(num_heads * head_width, num_heads, causal=causal).double()
    x = draw(0, batch, length, num_heads * head_width)
    torch.testing.assert_close(attention(x), attend(attention, x), rtol=1e-12, atol=1e-12)


def test_a_block_adds_to_its_stream() -> None:
    block = TransformerBlock(6, 2, 8).double()
    for parameter in block.parameters():
        nn.init.normal_(parameter)  # The two norms are the same otherwise.
    x = draw(1, 2, 3, 6)
    middle = x + attend(block.attention, block.norm1(x))
    expected = middle + block.fc2(gelu(block.fc1(block.norm2(middle))))
    torch.testing.assert_close(block(x), expected, rtol=1e-12, atol=1e-12)


def test_dropout_drops_what_is_added_and_in_training_only() -> None:
    block, x = TransformerBlock(6, 2, 8, dropout=0.5), torch.ones(2, 3, 6)
    assert not torch.equal(block(x), block(x))
    block.eval()
    assert torch.equal(block(x), block(x))


def test_blocks_are_numbered_from_one() -> None:
    blocks = make_blocks(2, 4, 2, 3, dropout=0.1, causal=True)
    assert [name for name, _ in blocks.named_children()] == ["block1", "block2"]
    assert all(block.attention.causal and block.dropout.p == 0.1 for block in blocks)


def test_weights_start_small_and_biases_at_zero() -> None:
    net = nn.ModuleDict({"linear": nn.Linear(200, 200), "table": nn.Embedding(200, 200), "norm": nn.LayerNorm(4)})
    initialise_transformer(net)
    for name in ("linear", "table"):
        weight = net.get_submodule(name).get_parameter("weight")
        # The deviation of n draws is off by 1 / sqrt(2 n) of itself.
        assert weight.std().item() == pytest.approx(0.02, rel=5 / math.sqrt(2 * weight.numel()))
    assert not net.get_parameter("linear.bias").any()
    assert net.get_parameter("norm.weight").tolist() == [1] * 4


def test_heads_that_do_not_divide_the_width_are_an_error() -> None:
    with pytest.raises(RecipeError) as caught:
        SelfAttention(10, 4)
    assert str(caught.value) == "num_heads must divide the width 10, got 4; write for example width = 128"


@pytest.mark.parametrize("changed", [{"width": 0}, {"num_heads": 1.5}, {"hidden": -1}, {"depth": 0}])
def test_a_count_that_is_none_is_an_error(changed: dict[str, Any]) -> None:
    settings = {"depth": 1, "width": 4, "num_heads": 2, "hidden": 3}
    with pytest.raises(RecipeError, match=rf"^{next(iter(changed))} must be a positive integer, got"):
        make_blocks(**{**settings, **changed})


def test_a_share_that_is_none_is_an_error() -> None:
    with pytest.raises(RecipeError, match=r"^dropout must be a number from 0 to below 1, got 1\.5;"):
        TransformerBlock(4, 2, 3, dropout=1.5)
