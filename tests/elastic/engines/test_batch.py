import math
from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from widthwise.elastic.engines.batch import choose_chunks, chunk_sizes, join_leaves, split_leaves


@given(batch=st.integers(1, 100), chunks=st.integers(1, 9), least=st.integers(1, 3))
def test_chunks_are_nearly_equal_and_cover_the_batch(batch: int, chunks: int, least: int) -> None:
    sizes = chunk_sizes(batch, chunks, least=least)
    assert sum(sizes) == batch
    assert len(sizes) == max(1, min(chunks, batch // least))
    assert max(sizes) - min(sizes) <= 1
    assert sizes == sorted(sizes, reverse=True)
    assert min(sizes) >= min(least, batch)


def test_sizes_of_chunks() -> None:
    assert chunk_sizes(10, 4) == [3, 3, 2, 2]
    assert chunk_sizes(3, 4) == [1, 1, 1]
    assert chunk_sizes(7, 4, least=2) == [3, 2, 2]
    assert chunk_sizes(1, 4, least=2) == [1]
    assert chunk_sizes(0, 4) == [0]


def test_all_chunks_are_chosen_where_there_is_room() -> None:
    generator = torch.Generator().manual_seed(0)
    before = generator.get_state()
    assert choose_chunks("abcd", 4, generator) == ["a", "b", "c", "d"]
    assert torch.equal(generator.get_state(), before)


@pytest.mark.parametrize("num_chosen", [1, 2, 3])
def test_each_chunk_is_chosen_equally_often_and_in_order(num_chosen: int) -> None:
    generator = torch.Generator().manual_seed(0)
    drawn = [choose_chunks("abcd", num_chosen, generator) for _ in range(2000)]
    assert all(chosen == sorted(chosen) for chosen in drawn)
    share = num_chosen / 4
    for chunk, times in Counter(chunk for chosen in drawn for chunk in chosen).items():
        assert abs(times / 2000 - share) <= 5 * math.sqrt(share * (1 - share) / 2000), chunk


@given(batch=st.integers(1, 12), chunks=st.integers(1, 4), axis=st.integers(0, 2))
def test_joining_undoes_splitting(batch: int, chunks: int, axis: int) -> None:
    shape = [3, 3, 3]
    shape[axis] = batch
    leaves = [torch.randn(shape), torch.arange(3), "flag", None]
    axes = [axis, None, None, None]
    sizes = chunk_sizes(batch, chunks)
    parts = split_leaves(leaves, axes, sizes)
    assert [part[0].shape[axis] for part in parts] == sizes
    joined = join_leaves(parts, axes, sizes)
    assert torch.equal(joined[0], leaves[0])
    assert joined[1:] == leaves[1:]


def test_parts_are_views() -> None:
    x = torch.randn(6, 2)
    for (part,) in split_leaves([x], [0], [4, 2]):
        assert part.untyped_storage().data_ptr() == x.untyped_storage().data_ptr()


def test_leaves_without_a_batch_axis_are_averaged_by_the_number_of_samples() -> None:
    loss, flag = torch.tensor([1.0, 5.0], dtype=torch.float64), torch.tensor(7)
    (joined, first) = join_leaves([[loss[0], flag], [loss[1], flag + 1]], [None, None], [3, 1])
    assert joined == 2.0
    assert joined.dtype == torch.float64
    assert first == 7


def test_a_single_part_is_handed_on() -> None:
    loss = torch.tensor(1.0)
    assert join_leaves([[loss]], [None], [3])[0] is loss
