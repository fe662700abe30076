from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from widthwise._shared import ModelError, RecipeError
from widthwise.measure import count_parameters
from widthwise.zoo import TransformerLanguageModel

SMALL: dict[str, Any] = {"vocabulary": 7, "context": 6, "width": 8, "depth": 2, "num_heads": 2, "hidden": 5}


@settings(max_examples=10)
@given(
    vocabulary=st.integers(2, 6),
    length=st.integers(1, 5),
    batch=st.integers(1, 3),
    depth=st.integers(1, 2),
    tie_weights=st.booleans(),
)
def test_there_is_a_row_of_logits_for_every_token(
    vocabulary: int, length: int, batch: int, depth: int, tie_weights: bool
) -> None:
    net = TransformerLanguageModel(vocabulary, 5, 4, depth, 2, 3, tie_weights=tie_weights)
    assert net(torch.zeros(batch, length, dtype=torch.int64)).shape == (batch, length, vocabulary)


def test_the_default_has_the_size_that_its_docstring_says() -> None:
    net = TransformerLanguageModel()
    assert (count_parameters(net), count_parameters(net.blocks)) == (2_089_728, 793_088)


def test_no_token_sees_the_ones_after_it() -> None:
    net = TransformerLanguageModel(**SMALL).double().eval()
    tokens = torch.tensor([[0, 1, 2, 3, 4, 5]])
    changed = torch.tensor([[0, 1, 2, 6, 4, 5]])
    same, other = net(tokens), net(changed)
    torch.testing.assert_close(same[:, :3], other[:, :3], rtol=1e-12, atol=1e-12)
    assert ((same - other)[:, 3:].abs().amax(dim=2) > 1e-9).all()
    torch.testing.assert_close(net(tokens[:, :4]), same[:, :4], rtol=1e-12, atol=1e-12)


def test_the_same_token_at_another_place_is_another_one() -> None:
    net = TransformerLanguageModel(**SMALL).eval()
    logits = net(torch.zeros(1, 2, dtype=torch.int64))
    assert not torch.allclose(logits[:, 0], logits[:, 1], rtol=1e-4)


def test_tied_weights_are_one_and_have_no_bias() -> None:
    tied, free = TransformerLanguageModel(**SMALL), TransformerLanguageModel(**SMALL, tie_weights=False)
    assert tied.head.weight is tied.tokens.weight
    assert tied.head.bias is None
    assert count_parameters(free) - count_parameters(tied) == 7 * 8 + 7


def test_dropout_works_in_training_only() -> None:
    net, tokens = TransformerLanguageModel(**SMALL, dropout=0.5), torch.zeros(2, 3, dtype=torch.int64)
    assert not torch.equal(net(tokens), net(tokens))
    net.eval()
    assert torch.equal(net(tokens), net(tokens))


def test_more_tokens_than_the_context_holds_are_an_error() -> None:
    with pytest.raises(ModelError) as caught:
        TransformerLanguageModel(**SMALL)(torch.zeros(2, 7, dtype=torch.int64))
    assert str(caught.value) == "tokens must be at most 6 (the context), got 7; cut shorter windows"


@pytest.mark.parametrize("name", ["vocabulary", "context", "width", "depth", "num_heads", "hidden"])
def test_a_count_that_is_none_is_an_error(name: str) -> None:
    with pytest.raises(RecipeError) as caught:
        TransformerLanguageModel(**{**SMALL, name: 0})
    assert str(caught.value) == f"{name} must be a positive integer, got 0; write for example 3"
