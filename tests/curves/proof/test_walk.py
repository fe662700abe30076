import math

import pytest

from tests.curves.pairs import Table, make_table
from widthwise.curves.proof.promise import Promise
from widthwise.curves.proof.walk import Step, Walk

PROMISE = Promise(max_drop=0.05, bounds=(0, 1))
NONE, SMALL, LARGE = (0.0, 0.0), (0.02, 0.01), (0.2, 0.0)


def go(table: Table, promise: Promise = PROMISE, most: int = 10**9) -> list[Step]:
    walk = Walk(table, len(table.scores), promise, higher_is_better=True, most_samples=most)
    return list({step.rung: step for step in walk}.values())


def test_it_goes_down_to_the_first_that_is_not_proven() -> None:
    steps = go(make_table([NONE, SMALL, LARGE, NONE], 3000))
    assert [(step.rung, step.verdict) for step in steps] == [(1, "within"), (2, "within"), (3, "beyond")]


def test_it_ends_at_the_last_rung() -> None:
    assert [step.verdict for step in go(make_table([NONE, NONE], 3000))] == ["within", "within"]
    assert go(make_table([], 3000)) == []


def test_the_full_network_is_run_once_and_no_further_than_needed() -> None:
    table = make_table([NONE, SMALL, LARGE], 3000)
    steps = go(table)
    counts = [len(step.comparison.drops) for step in steps]
    assert table.num_read == [max(counts), *counts]
    assert (steps[-1].num_full, steps[-1].num_narrow) == (max(counts), sum(counts))
    assert max(counts) < 3000


@pytest.mark.parametrize("most", [0, 150, 500, 777, 1500])
def test_it_never_spends_more_than_it_may(most: int) -> None:
    table = make_table([SMALL] * 9, 3000)
    steps = go(table, most=most)
    assert sum(table.num_read) <= most
    assert not steps or steps[-1].num_full + steps[-1].num_narrow == sum(table.num_read)


def test_a_rung_that_runs_out_of_samples_is_undecided() -> None:
    steps = go(make_table([(0.06, 0.0), NONE], 250))
    assert [step.verdict for step in steps] == ["undecided"]
    assert len(steps[0].comparison.drops) == 250


def test_where_nothing_is_to_be_hoped_for_it_stops_before_the_end() -> None:
    (step,) = go(make_table([(0.1, 0.05)], 5000, seed=2))
    assert step.verdict == "undecided"
    assert len(step.comparison.drops) < 5000


@pytest.mark.slow
@pytest.mark.parametrize("bounds", [(0, 1), None])
def test_a_ladder_beyond_the_limit_is_climbed_as_rarely_as_promised(bounds: tuple[float, float] | None) -> None:
    promise, runs = Promise(max_drop=0.05, confidence=0.9, bounds=bounds), 200
    flat = [(0.0805, 0.03)] * 6
    climbed = sum(go(make_table(flat, 1500, seed=seed), promise)[0].verdict == "within" for seed in range(runs))
    assert climbed / runs <= 0.1 + 5 * math.sqrt(0.1 * 0.9 / runs)
    assert climbed > 0
