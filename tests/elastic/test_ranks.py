"""How draws are shared between processes; test_ranks_processes.py runs them."""

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.networks import make_generator, make_model
from widthwise._shared import WidthError
from widthwise.elastic.laws.law import Law
from widthwise.elastic.laws.named_laws import LAWS
from widthwise.elastic.ranks import Ranks, draw_share, pick_share


@given(num_strata=st.integers(1, 6), num_parts=st.integers(1, 16), turn=st.integers(0, 1000))
def test_the_shares_of_all_processes_are_every_stratum_once(num_strata: int, num_parts: int, turn: int) -> None:
    shares = [pick_share(num_strata, num_parts, rank + turn) for rank in range(num_parts)]
    assert sorted(itertools.chain(*shares)) == list(range(num_strata * num_parts))


@given(num_strata=st.integers(1, 6), num_parts=st.integers(1, 16), place=st.integers(0, 1000))
def test_a_share_has_one_part_of_each_stratum_narrowest_first(num_strata: int, num_parts: int, place: int) -> None:
    share = pick_share(num_strata, num_parts, place)
    assert [part // num_parts for part in share] == list(range(num_strata))


def test_whoever_has_the_widest_part_has_the_narrowest_of_all_others() -> None:
    assert [pick_share(3, 4, place) for place in range(4)] == [[3, 7, 8], [2, 6, 9], [1, 5, 10], [0, 4, 11]]


def draw_from(law: Law, generator: torch.Generator, batch: int | None) -> list[dict[str, int]]:
    return law.draw({"a": 100_000}, generator, batch=batch)


@pytest.mark.parametrize("law", LAWS.values())
def test_one_process_alone_draws_from_the_law_and_nothing_else(law: Law) -> None:
    generator = make_generator(0)
    draws, chooser = Ranks("spread").draw(law, generator, 8, draw_from)
    assert draws == draw_from(law, make_generator(0), 8)
    assert chooser is generator


@pytest.mark.parametrize("law", [Law(), Law(chunks=1), Law(sandwich=4), Law(chunks="each")])
def test_the_shares_of_all_processes_together_are_a_finer_draw(law: Law) -> None:
    num_parts = 4
    drawn = [draw_share(law, make_generator(5), 6, draw_from, place, num_parts) for place in range(num_parts)]
    shares = [[each["a"] for each in share] for share in drawn]
    assert len({len(share) for share in shares}) == 1
    assert len(shares[0]) == (6 if law.chunks == "each" else len(draw_from(law, make_generator(0), None)))
    num_common = len(set.intersection(*map(set, shares)))
    assert num_common == {4: 1, 1: 0, "each": 0}[law.chunks] + (law.sandwich is not None)
    assert len({width for share in shares for width in share}) == num_common + num_parts * (len(shares[0]) - num_common)


def test_an_unknown_mode_is_an_error() -> None:
    message = "^across_ranks must be one of spread, same, got 'each'; use one of these$"
    with pytest.raises(WidthError, match=message):
        make_model("mlp", across_ranks="each")
    with pytest.raises(WidthError, match=message):
        Ranks("each")  # pyright: ignore[reportArgumentType]
