from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from widthwise._shared import ModelError, RecipeError
from widthwise.measure import count_parameters
from widthwise.zoo import LSTMLanguageModel, iterate_windows, lay_columns


def draw_tokens(length: int, batch: int, vocabulary: int) -> Tensor:
    return torch.randint(vocabulary, (length, batch), generator=torch.Generator().manual_seed(0))


@settings(max_examples=10)
@given(
    vocabulary=st.integers(2, 6),
    embedded=st.integers(1, 4),
    hidden=st.integers(1, 4),
    num_layers=st.integers(1, 3),
    length=st.integers(1, 5),
    batch=st.integers(1, 3),
)
def test_logits_and_state_have_their_shapes(
    vocabulary: int, embedded: int, hidden: int, num_layers: int, length: int, batch: int
) -> None:
    net = LSTMLanguageModel(vocabulary, embedded, hidden, num_layers)
    tokens = draw_tokens(length, batch, vocabulary)
    logits, state = net(tokens)
    assert logits.shape == (length, batch, vocabulary)
    assert [tuple(part.shape) for part in state] == [(num_layers, batch, hidden)] * 2
    net.carries_state = False
    assert torch.equal(net(tokens), logits)


def test_the_default_has_the_size_that_its_docstring_says() -> None:
    assert count_parameters(LSTMLanguageModel()) == 4_653_200


def test_windows_with_the_state_carried_on_are_as_good_as_the_whole_text() -> None:
    net = LSTMLanguageModel(7, 4, 5).double()
    columns = lay_columns(draw_tokens(60, 1, 7).flatten(), 3)
    whole, last = net(columns[:-1])
    state, parts = None, []
    for inputs, _ in iterate_windows(columns, 4):
        logits, state = net(inputs, state)
        parts.append(logits)
    assert state is not None
    torch.testing.assert_close(torch.cat(parts), whole, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(state, last, rtol=1e-12, atol=1e-12)


def test_each_layer_is_the_formula_of_an_lstm() -> None:
    net = LSTMLanguageModel(5, 3, 4, 1).double()
    weights = net.state_dict()
    state, cell = torch.zeros(2, 4).double(), torch.zeros(2, 4).double()
    tokens = draw_tokens(3, 2, 5)
    for row, expected in zip(tokens, net(tokens)[0], strict=True):
        gates = weights["embedding.weight"][row] @ weights["lstm.weight_ih_l0"].T + weights["lstm.bias_ih_l0"]
        gates = gates + state @ weights["lstm.weight_hh_l0"].T + weights["lstm.bias_hh_l0"]
        enter, forget, new, leave = gates.chunk(4, dim=1)
        cell = forget.sigmoid() * cell + enter.sigmoid() * new.tanh()
        state = leave.sigmoid() * cell.tanh()
        logits = state @ weights["head.weight"].T + weights["head.bias"]
        torch.testing.assert_close(logits, expected, rtol=1e-12, atol=1e-12)


def test_parameters_start_evenly_in_a_small_range() -> None:
    for parameter in LSTMLanguageModel(50, 40, 40).parameters():
        assert parameter.abs().max() <= 0.1
        # The mean of n even draws from -0.1..0.1 deviates by 0.1 / sqrt(3 n).
        assert parameter.mean().abs() <= 5 * 0.1 / (3 * parameter.numel()) ** 0.5


def test_tied_weights_are_one() -> None:
    net = LSTMLanguageModel(50, 40, 40, tie_weights=True)
    assert net.head.weight is net.embedding.weight
    assert count_parameters(LSTMLanguageModel(50, 40, 40)) - count_parameters(net) == 50 * 40


@pytest.mark.parametrize("num_layers", [1, 2])
def test_dropout_works_in_training_only(num_layers: int) -> None:
    net, tokens = LSTMLanguageModel(5, 8, 8, num_layers, dropout=0.5), draw_tokens(4, 3, 5)
    assert not torch.equal(net(tokens)[0], net(tokens)[0])
    assert net.lstm.dropout == (0.5 if num_layers > 1 else 0)
    net.eval()
    assert torch.equal(net(tokens)[0], net(tokens)[0])
    assert sum(isinstance(module, nn.Dropout) for module in net.modules()) == 1


def test_tying_unlike_sizes_is_an_error() -> None:
    with pytest.raises(RecipeError) as caught:
        LSTMLanguageModel(embedded=100, tie_weights=True)
    assert str(caught.value) == (
        "tied weights need embedded and hidden to be the same, got 100 and 200; write for example embedded = 200"
    )


def test_a_state_that_is_not_carried_is_an_error() -> None:
    state = torch.zeros(2, 3, 4), torch.zeros(2, 3, 4)
    with pytest.raises(ModelError) as caught:
        LSTMLanguageModel(5, 4, 4, carries_state=False)(draw_tokens(2, 3, 5), state)
    assert str(caught.value) == (
        "a state is used with carries_state only, got one without it; set carries_state to True"
    )


@pytest.mark.parametrize("name", ["vocabulary", "embedded", "hidden", "num_layers"])
def test_a_count_that_is_none_is_an_error(name: str) -> None:
    changed: dict[str, Any] = {name: 0}
    with pytest.raises(RecipeError) as caught:
        LSTMLanguageModel(**changed)
    assert str(caught.value) == f"{name} must be a positive integer, got 0; write for example 3"


def test_a_share_that_is_none_is_an_error() -> None:
    with pytest.raises(RecipeError, match=r"^dropout must be a number from 0 to below 1, got -1;"):
        LSTMLanguageModel(dropout=-1)
