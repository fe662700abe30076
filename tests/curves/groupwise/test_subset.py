from itertools import pairwise

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from widthwise.curves import Score
from widthwise.curves.groupwise.subset import take_first, thin_score


def number(net: nn.Module, batch: tuple[str, Tensor]) -> Tensor:
    return net(batch[1])


def make_score(sizes: list[int]) -> Score[tuple[str, Tensor]]:
    ends = torch.tensor([0, *sizes]).cumsum(0).tolist()
    batches = [("word", torch.arange(a, b, dtype=torch.float64)) for a, b in pairwise(ends)]
    return Score(number, batches, name="place")


@given(st.lists(st.integers(1, 9), min_size=1, max_size=30), st.integers(1, 80))
def test_a_thinned_score_has_whole_batches_at_equal_distances(sizes: list[int], most: int) -> None:
    score = make_score(sizes)
    thin = thin_score(score, most)
    starts = [float(batch[1][0]) for batch in score.loader]
    places = [starts.index(float(batch[1][0])) for batch in thin.loader]
    assert places[0] == 0
    assert len({after - before for before, after in pairwise(places)}) <= 1
    assert len(places) == 1 or sum(sizes[place] for place in places) <= most
    assert (thin is score) == (len(sizes) == 1 or sum(sizes) <= most)


def test_equal_batches_leave_more_than_a_third_of_what_is_allowed() -> None:
    for count in (1, 4, 5, 10, 11, 19, 20, 21, 39, 40, 41, 77, 160, 161):
        thin = thin_score(make_score([10] * count), 100)
        assert len(list(thin.loader)) >= min(count, 4)


def test_a_thinned_score_is_the_mean_over_what_is_left() -> None:
    thin = thin_score(make_score([2] * 8), 6)
    assert [batch[1].tolist() for batch in thin.loader] == [[0, 1], [8, 9]]
    assert thin(nn.Identity()) == 4.5
    assert (thin.name, thin.higher_is_better) == ("place", True)


def test_calibration_takes_the_first_batches_that_suffice() -> None:
    batches = [torch.zeros(4, 2)] * 5
    assert len(take_first(batches, 9)) == 3
    assert len(take_first(batches, 8)) == 2
    assert len(take_first(batches, 99)) == 5


def test_a_batch_without_tensors_is_one_sample() -> None:
    assert take_first(["a", "b", "c"], 2) == ["a", "b"]
