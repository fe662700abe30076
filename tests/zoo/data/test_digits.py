import hashlib

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from widthwise.zoo.data.digits import load_digits, stratified_order
from widthwise.zoo.data.splits import DataSplits


@pytest.fixture(scope="module")
def digits() -> DataSplits:
    return load_digits()


@settings(deadline=None, max_examples=40)
@given(labels=st.lists(st.integers(0, 4), min_size=1, max_size=60), seed=st.integers(0, 2**31))
def test_every_prefix_holds_each_class_in_proportion(labels: list[int], seed: int) -> None:
    y = torch.tensor(labels)
    order = stratified_order(y, torch.Generator().manual_seed(seed))
    assert order.sort().values.tolist() == list(range(len(labels)))
    for label in y.unique():
        is_label = (y[order] == label).double()
        expected = is_label.mean() * torch.arange(1, len(y) + 1)
        # Half a sample from rounding this class, and its share of half a sample of each of the at most five classes.
        assert (is_label.cumsum(0) - expected).abs().max() <= 0.5 + 5 / 2 + 1e-9


def test_the_order_depends_on_the_generator_alone() -> None:
    y = torch.arange(50) % 3
    first, again, other = (stratified_order(y, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_global_random_state_is_untouched() -> None:
    before = torch.get_rng_state()
    load_digits()
    assert torch.equal(torch.get_rng_state(), before)


def test_splits_have_their_sizes_types_and_range(digits: DataSplits) -> None:
    assert (digits.name, digits.num_classes, digits.input_shape) == ("digits", 10, (1, 8, 8))
    for split, size in ((digits.train, 1000), (digits.validation, 300), (digits.test, 497)):
        x, y = split.tensors
        assert (x.shape, x.dtype) == ((size, 1, 8, 8), torch.float32)
        assert (y.shape, y.dtype) == ((size,), torch.int64)
        assert (x.min().item(), x.max().item()) == (0.0, 1.0)


def test_splits_are_a_partition_of_the_source(digits: DataSplits) -> None:
    datasets = pytest.importorskip("sklearn.datasets")
    bunch = datasets.load_digits()
    rows = [
        (int(label), *(x * 16).int().flatten().tolist())
        for split in (digits.train, digits.validation, digits.test)
        for x, label in split
    ]
    expected = [(int(y), *map(int, row)) for y, row in zip(bunch.target.tolist(), bunch.data.tolist(), strict=True)]
    assert sorted(rows) == sorted(expected)


def test_each_split_holds_the_classes_in_proportion(digits: DataSplits) -> None:
    splits = (digits.train, digits.validation, digits.test)
    counts = torch.stack([split.tensors[1].bincount(minlength=10) for split in splits]).double()
    sizes = counts.sum(1, keepdim=True)
    expected = sizes * counts.sum(0, keepdim=True) / sizes.sum()
    assert (counts - expected).abs().max() <= 2


def test_the_splits_are_the_published_ones(digits: DataSplits) -> None:
    pictures = torch.cat([split.tensors[0] for split in (digits.train, digits.validation, digits.test)])
    grey_values = (pictures * 16).byte().flatten()
    assert (
        hashlib.sha256(bytes(grey_values.tolist())).hexdigest()
        == "4cae5f034d12f1fe3ef42861946250903a07abb5308fc51400247f897a0ff6a0"
    )
