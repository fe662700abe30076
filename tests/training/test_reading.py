import pytest
import torch

from widthwise.training.reading import Reading
from widthwise.zoo import MLP, LSTMLanguageModel, TransformerLanguageModel

CARRIED = Reading(is_time_first=True, state_shape=(2, 7))
WINDOWS = Reading(is_time_first=True, state_shape=None)
BLOCKS = Reading(is_time_first=False, state_shape=None)


@pytest.mark.parametrize(
    ("net", "expected"),
    [
        (LSTMLanguageModel(9, 5, 7), CARRIED),
        (LSTMLanguageModel(9, 5, 7, carries_state=False), WINDOWS),
        (TransformerLanguageModel(9, 4, 8, 1, 2, 8), BLOCKS),
        (MLP([4, 3]), None),
    ],
)
def test_a_network_is_read_by_its_kind(net: torch.nn.Module, expected: Reading | None) -> None:
    assert Reading.of(net) == expected


def test_tokens_are_laid_with_their_batch_where_the_network_has_it() -> None:
    tokens = torch.arange(6).reshape(2, 3)
    for reading in (CARRIED, WINDOWS, BLOCKS):
        assert reading.lay(tokens).shape[reading.batch_dim] == 2
    assert torch.equal(CARRIED.lay(tokens)[:, 1], tokens[1])
    assert torch.equal(BLOCKS.lay(tokens), tokens)


def test_a_state_begins_at_zero_with_the_batch_of_the_tokens() -> None:
    tokens = torch.zeros(3, 4, dtype=torch.int64)
    state = CARRIED.first_state(tokens)
    assert state is not None
    assert [part.shape for part in state] == [(2, 4, 7)] * 2
    assert not any(part.any() for part in state)
    assert CARRIED.arguments(tokens, state) == (tokens, state)
    assert WINDOWS.first_state(tokens) is None
    assert WINDOWS.arguments(tokens, None) == (tokens,)
    assert (CARRIED.carried, WINDOWS.carried) == ("state", None)
