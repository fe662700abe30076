from typing import Any

import pytest
import torch

from widthwise._shared import DataError
from widthwise.graph import Example
from widthwise.slicing import batch_inputs, take_samples

X, Y, LABELS = torch.ones(4, 2), torch.ones(4, 3), torch.zeros(4, dtype=torch.int64)
ONE = Example(args=(X,), kwargs={})
TWO = Example(args=(X, Y), kwargs={})
NAMED = Example(args=(), kwargs={"x": X, "mask": Y})
NESTED = Example(args=({"x": X, "mask": Y},), kwargs={})


@pytest.mark.parametrize("batch", [X, (X,), [X], (X, LABELS), [X, LABELS, "more"]])
def test_a_network_of_one_input_takes_the_first_entry(batch: Any) -> None:
    found = batch_inputs(batch, ONE)
    assert found.args == (X,)
    assert found.kwargs == {}


@pytest.mark.parametrize("batch", [(X, Y), (X, Y, LABELS), ((X, Y), LABELS), ([X, Y],)])
def test_a_network_of_two_inputs_takes_two_entries_or_a_pair(batch: Any) -> None:
    assert batch_inputs(batch, TWO).args == (X, Y)


@pytest.mark.parametrize(
    "batch", [(X, Y), (X, Y, LABELS), {"mask": Y, "x": X, "labels": LABELS}, ({"mask": Y, "x": X}, LABELS)]
)
def test_a_network_of_keyword_inputs_takes_them_in_order_or_by_name(batch: Any) -> None:
    found = batch_inputs(batch, NAMED)
    assert found.args == ()
    assert list(found.kwargs) == ["x", "mask"]
    assert found.kwargs["x"] is X
    assert found.kwargs["mask"] is Y


def test_a_network_that_takes_a_dict_gets_its_entries() -> None:
    found = batch_inputs({"mask": Y, "x": X, "labels": LABELS}, NESTED)
    assert found.args == ({"x": X, "mask": Y},)
    assert batch_inputs(({"x": X, "mask": Y}, LABELS), NESTED).args == ({"x": X, "mask": Y},)


def test_too_few_entries_are_an_error() -> None:
    with pytest.raises(DataError) as caught:
        batch_inputs((X,), TWO)
    assert str(caught.value) == (
        "a batch must hold the 2 inputs of the network first, got 1 entries; let the loader yield (inputs..., labels), "
        "or a dict of keyword inputs"
    )


def test_a_missing_name_is_an_error() -> None:
    with pytest.raises(DataError) as caught:
        batch_inputs({"x": X, "labels": LABELS}, NAMED)
    assert str(caught.value) == (
        "a batch must hold x, mask, got a dict of x, labels; let the loader yield tuples, or wrap the network with a "
        "dict of keyword inputs as its example"
    )


def test_a_dict_for_a_network_of_positional_inputs_is_an_error() -> None:
    with pytest.raises(DataError, match=r"^a batch must hold 2 positional inputs, got a dict of nothing; "):
        batch_inputs({}, TWO)


def test_whole_batches_are_taken_until_there_are_enough_samples() -> None:
    batches = [(torch.full((3, 2), float(i)), LABELS) for i in range(5)]
    taken = list(take_samples(iter(batches), ONE, leaf=0, axis=0, num_samples=7))
    assert [inputs.args[0][0, 0] for inputs in taken] == [0, 1, 2]
    assert len(list(take_samples(batches, ONE, leaf=0, axis=0, num_samples=6))) == 2
    assert len(list(take_samples(batches, ONE, leaf=0, axis=0, num_samples=100))) == 5
    assert len(list(take_samples(batches, ONE, leaf=0, axis=1, num_samples=3))) == 2
