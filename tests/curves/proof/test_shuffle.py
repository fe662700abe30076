from collections.abc import Iterator

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, SubsetRandomSampler, TensorDataset

from tests.conftest import RandomStateCheck
from widthwise._shared import CurveError, WidthWarning, make_generator
from widthwise.curves.proof.shuffle import Shuffled, shuffle


def pairs(count: int) -> tuple[Tensor, Tensor]:
    numbers = torch.arange(count)
    return numbers.float().reshape(-1, 1), numbers


def read(shuffled: Shuffled) -> list[int]:
    """The samples in their order; inputs and targets are checked to stay together, and batches to have their size."""
    found: list[int] = []
    for (inputs, targets), size in zip(shuffled.batches, shuffled.sizes, strict=True):
        assert inputs[:, 0].tolist() == targets.tolist()
        assert len(targets) == size
        found += targets.tolist()
    return found


@given(count=st.integers(1, 300), batch=st.integers(1, 120), seed=st.integers(0, 9), is_list=st.booleans())
def test_each_sample_comes_once_and_always_in_the_same_order(count: int, batch: int, seed: int, is_list: bool) -> None:
    inputs, targets = pairs(count)
    data = DataLoader(TensorDataset(inputs, targets), batch_size=batch)
    loader = list(zip(inputs.split(batch), targets.split(batch), strict=True)) if is_list else data
    shuffled = shuffle(loader, make_generator(seed))
    order = read(shuffled)
    assert sorted(order) == list(range(count))
    assert read(shuffled) == order == read(shuffle(loader, make_generator(seed)))
    assert max(shuffled.sizes) <= batch


@pytest.mark.parametrize("is_list", [True, False])
def test_samples_leave_their_batches(is_list: bool) -> None:
    inputs, targets = pairs(1000)
    batches = list(zip(inputs.split(500), targets.split(500), strict=True))
    shuffled = shuffle(batches if is_list else DataLoader(TensorDataset(inputs, targets), 500), make_generator(0))
    assert len(shuffled.sizes) > 20
    halves = [number < 500 for number in read(shuffled)[: shuffled.sizes[0]]]
    assert 0 < sum(halves) < len(halves)
    assert read(shuffled) != read(shuffle(batches, make_generator(1)))


def test_a_loader_that_shuffles_gives_one_order_and_leaves_the_random_state(
    untouched_random_state: RandomStateCheck,
) -> None:
    loader = DataLoader(TensorDataset(*pairs(90)), batch_size=30, shuffle=True)
    with untouched_random_state():
        shuffled = shuffle(loader, make_generator(0))
        assert read(shuffled) == read(shuffled)
    assert sorted(read(shuffled)) == list(range(90))


def test_a_sampler_says_which_samples_there_are() -> None:
    loader = DataLoader(TensorDataset(*pairs(90)), batch_size=7, sampler=SubsetRandomSampler(range(40, 60)))
    assert sorted(read(shuffle(loader, make_generator(0)))) == list(range(40, 60))


def test_the_batches_of_a_batch_sampler_stay_whole() -> None:
    given_batches = [[0, 1], [2, 3, 4], [5], [6, 7, 8, 9]]
    loader = DataLoader(TensorDataset(*pairs(10)), batch_sampler=given_batches)
    shuffled = shuffle(loader, make_generator(3))
    assert sorted(batch[1].tolist() for batch in shuffled.batches) == given_batches
    assert read(shuffled) != list(range(10))


def test_batches_that_do_not_look_alike_stay_whole() -> None:
    batches = [(torch.full((2, length), 1.0), torch.full((2,), length)) for length in range(1, 9)]
    shuffled = shuffle(batches, make_generator(0))
    lengths = [int(targets[0]) for _, targets in shuffled.batches]
    assert sorted(lengths) == list(range(1, 9))
    assert lengths != sorted(lengths)
    assert shuffled.sizes == (2,) * 8


def test_empty_batches_are_not_counted() -> None:
    batches = [(torch.zeros(0, 1), torch.zeros(0)), (torch.zeros(3, 2), torch.zeros(3))]
    assert shuffle(batches, make_generator(0)).sizes == (3,)
    assert shuffle([], make_generator(0)).sizes == ()


class Stream(IterableDataset):
    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return zip(*pairs(6), strict=True)


def test_an_order_that_cannot_be_changed_is_told() -> None:
    with pytest.warns(WidthWarning) as caught:
        shuffled = shuffle(DataLoader(Stream(), batch_size=4), make_generator(0))
    assert read(shuffled) == list(range(6))
    assert shuffled.sizes == (4, 2)
    assert str(caught[0].message) == (
        "expected a loader whose samples can be put in a random order, got a DataLoader; its order is taken as it is: "
        "pass a list of batches or a DataLoader with a data set of known length, or make sure that the order is random"
    )


def test_batches_of_unknown_size_are_refused() -> None:
    with pytest.raises(CurveError) as caught:
        shuffle([(torch.zeros(5, 2), torch.zeros(2))], make_generator(0))
    assert str(caught.value) == (
        "expected batches whose tensors all have the samples as their first axis, got one where they differ; "
        "put the samples first in every tensor of a batch"
    )
