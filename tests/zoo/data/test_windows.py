import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from widthwise._shared import DataError
from widthwise.zoo.data.windows import cut_windows, iterate_windows, lay_columns, shuffle_windows


@given(size=st.integers(2, 60), num_columns=st.integers(1, 6), length=st.integers(1, 9))
def test_windows_of_columns_run_on_and_predict_every_row_but_the_first(
    size: int, num_columns: int, length: int
) -> None:
    size += 2 * num_columns
    columns = lay_columns(torch.arange(size), num_columns)
    windows = list(iterate_windows(columns, length))
    rows = size // num_columns
    assert torch.equal(torch.cat([inputs for inputs, _ in windows]), columns[:-1])
    assert torch.equal(torch.cat([targets for _, targets in windows]), columns[1:])
    assert all(len(inputs) == length for inputs, _ in windows[:-1])
    whole = list(iterate_windows(columns, length, whole_only=True))
    assert len(whole) == (rows - 1) // length
    assert all(torch.equal(one[1], other[1]) for one, other in zip(whole, windows, strict=False))
    assert all(len(inputs) == len(targets) == length for inputs, targets in whole)
    assert columns.t().flatten().tolist() == list(range(rows * num_columns))


@given(size=st.integers(2, 60), length=st.integers(1, 9), start=st.integers(0, 5))
def test_windows_side_by_side_predict_the_next_token(size: int, length: int, start: int) -> None:
    size += length + start
    inputs, targets = cut_windows(torch.arange(size), length, start=start)
    assert inputs.flatten().tolist() == list(range(start, start + inputs.numel()))
    assert torch.equal(targets, inputs + 1)
    assert size - 1 - start - inputs.numel() < length


@given(size=st.integers(0, 80), length=st.integers(1, 9), batch_size=st.integers(1, 5), seed=st.integers(0, 2**31))
def test_shuffled_windows_are_as_many_each_time_and_none_comes_twice(
    size: int, length: int, batch_size: int, seed: int
) -> None:
    size += 2 * length
    batches = list(shuffle_windows(torch.arange(size), length, batch_size, torch.Generator().manual_seed(seed)))
    inputs, targets = (torch.cat(parts) for parts in zip(*batches, strict=True))
    count = size // length - 1
    assert inputs.shape == targets.shape == (count, length)
    assert [len(batch) for batch, _ in batches[:-1]] == [batch_size] * (len(batches) - 1)
    assert torch.equal(targets, inputs + 1)
    start = int(inputs.min())
    assert start < length
    assert inputs.flatten().sort().values.tolist() == list(range(start, start + count * length))


def test_the_order_depends_on_the_generator_alone() -> None:
    tokens, generator = torch.arange(1000), torch.Generator().manual_seed(3)
    before = torch.get_rng_state()
    first, second = (next(shuffle_windows(tokens, 7, 20, generator))[0] for _ in range(2))
    assert torch.equal(first, next(shuffle_windows(tokens, 7, 20, torch.Generator().manual_seed(3)))[0])
    assert not torch.equal(first % 7, second % 7)  # Cut elsewhere.
    assert torch.equal(torch.get_rng_state(), before)


def test_too_many_columns_are_an_error() -> None:
    with pytest.raises(DataError) as caught:
        lay_columns(torch.arange(9), 5)
    assert str(caught.value) == "5 columns need at least 10 tokens, got 9; lay fewer columns"


def test_a_text_too_short_for_its_windows_is_an_error() -> None:
    with pytest.raises(DataError) as caught:
        cut_windows(torch.arange(9), 8, start=1)
    assert str(caught.value) == "a window of 8 from token 1 needs 10 tokens, got 9; take a shorter one"
    with pytest.raises(DataError) as caught:
        shuffle_windows(torch.arange(9), 5, 2, torch.Generator())
    assert str(caught.value) == "shuffled windows of 5 need a text of 10 tokens, got 9; take shorter ones"


def test_a_start_before_the_text_is_an_error() -> None:
    with pytest.raises(DataError) as caught:
        cut_windows(torch.arange(9), 2, start=-1)
    assert str(caught.value) == "start must be 0 or a later token, got -1; count from the beginning of the text"


def test_a_count_that_is_none_is_an_error() -> None:
    tokens, generator = torch.arange(9), torch.Generator()
    calls = {
        "num_columns": lambda: lay_columns(tokens, 0),
        "length": lambda: iterate_windows(tokens[:, None], 0),
        "batch_size": lambda: shuffle_windows(tokens, 2, 0, generator),
    }
    for name, call in calls.items():
        with pytest.raises(DataError) as caught:
            call()
        assert str(caught.value) == f"{name} must be a positive integer, got 0; write for example 32"
    for call in (lambda: cut_windows(tokens, 0), lambda: shuffle_windows(tokens, 0, 1, generator)):
        with pytest.raises(DataError, match=r"^length must be a positive integer, got 0;"):
            call()
