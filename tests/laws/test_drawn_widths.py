"""The drawn widths follow the stated law, to five standard errors."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

from widthwise.elastic.laws.law import Distribution, Law, Sharing
from widthwise.elastic.laws.named_laws import LAWS, make_law

NUM_DRAWS = 12_000


def make_generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def draw_many(
    law: Law, sizes: dict[str, int], num_draws: int = NUM_DRAWS, *, lower_bounds: dict[str, int] | None = None
) -> list[dict[str, int]]:
    """The truncated draws only: with several chunks the first is full by construction."""
    generator = make_generator()
    first = 0 if law.chunks == 1 else 1
    return [drawn for _ in range(num_draws) for drawn in law.draw(sizes, generator, lower_bounds=lower_bounds)[first:]]


def count_shares(values: list[Any]) -> dict[Any, float]:
    return {value: values.count(value) / len(values) for value in set(values)}


def assert_shares(values: list[Any], expected: dict[Any, float]) -> None:
    """Every share lies within five standard errors of its probability, and nothing impossible was drawn."""
    shares, n = count_shares(values), len(values)
    assert set(shares) <= {value for value, probability in expected.items() if probability > 0}
    assert math.isclose(sum(expected.values()), 1, abs_tol=1e-12)
    for value, probability in expected.items():
        bound = 5 * math.sqrt(probability * (1 - probability) / n)
        assert abs(shares.get(value, 0) - probability) <= bound + 1e-12, (value, probability)


def fraction_below(law: Law, x: float) -> float:
    """The stated cumulative distribution of the fraction."""
    x = min(1.0, max(law.lowest, x))
    if law.distribution == "uniform":
        return (x - law.lowest) / (1 - law.lowest)
    return 1 - math.log(x) / math.log(law.lowest)


def probabilities(law: Law, size: int, below: Callable[[Law, float], float] = fraction_below) -> dict[int, float]:
    """Of each width when fractions are rounded to the nearest of 1..size and p of the draws are truncated."""
    edges = [(kept + 0.5) / size for kept in range(1, size)]
    reached = [0.0, *(below(law, edge) for edge in edges), 1.0]
    expected = {kept: law.p * (reached[kept] - reached[kept - 1]) for kept in range(1, size + 1)}
    expected[size] += 1 - law.p
    return expected


# --- the drawn widths follow the stated distribution, to five standard errors -----------------------------------------


@pytest.mark.parametrize("distribution", ["log_uniform", "uniform"])
@pytest.mark.parametrize("sharing", ["shared", "independent"])
@pytest.mark.parametrize(("chunks", "p"), [(1, 1.0), (1, 0.6), (4, 1.0), (4, 0.6)])
def test_widths_follow_the_law_of_fractions(
    distribution: Distribution, sharing: Sharing, chunks: int, p: float
) -> None:
    law = Law(distribution=distribution, sharing=sharing, lowest=1 / 20, chunks=chunks, p=p)
    drawn = draw_many(law, {"a": 20, "b": 7}, 4_000)
    assert_shares([kept["a"] for kept in drawn], probabilities(law, 20))
    assert_shares([kept["b"] for kept in drawn], probabilities(law, 7))


@pytest.mark.parametrize("distribution", ["log_uniform", "uniform"])
def test_jittered_widths_follow_the_law_times_the_jitter(distribution: Distribution) -> None:
    law = Law(distribution=distribution, sharing="jittered", lowest=1 / 10, chunks=1, p=0.7)
    # The middle of each of many equal parts of the jitter: error 1e-7 where the density is smooth, 1e-4 at its kinks.
    jitters = [2 ** (2 * (i + 0.5) / 5000 - 1) for i in range(5000)]

    def jittered_below(law: Law, x: float) -> float:
        return sum(fraction_below(law, x / jitter) if x / jitter < 1 else 1.0 for jitter in jitters) / len(jitters)

    drawn = draw_many(law, {"a": 10, "b": 10}, NUM_DRAWS)
    for name in ("a", "b"):
        assert_shares([kept[name] for kept in drawn], probabilities(law, 10, jittered_below))


def test_jitter_is_independent_between_groups_and_at_most_a_factor_of_two() -> None:
    # In groups this wide, lowest 1/4 and jitter up to 2 leave fractions below 1/2 free of clipping at 1.
    drawn = draw_many(Law(sharing="jittered", lowest=1 / 4, chunks=1), {"a": 10**6, "b": 10**6}, 3_000)
    ratios = [math.log2(kept["a"] / kept["b"]) for kept in drawn]
    assert max(map(abs, ratios)) <= 2 + 1e-4
    assert max(ratios) > 1
    assert min(ratios) < -1
    assert sum(kept["a"] == kept["b"] for kept in drawn if 250_000 < kept["a"] < 10**6) <= 1


@pytest.mark.parametrize(("p", "chunks"), [(1.0, 1), (0.5, 1), (1.0, 4), (0.5, 4)])
@pytest.mark.parametrize("sharing", ["shared", "independent"])
def test_widths_below_full_are_equally_likely(p: float, chunks: int, sharing: Sharing) -> None:
    law = Law(distribution="uniform_below_full", sharing=sharing, lowest=1e-6, p=p, chunks=chunks, step=3)
    drawn = draw_many(law, {"a": 17, "b": 8}, 4_000, lower_bounds={"a": 2})
    assert_shares([kept["a"] for kept in drawn], {17: 1 - p} | dict.fromkeys((2, 5, 8, 11, 14), p / 5))
    assert_shares([kept["b"] for kept in drawn], {8: 1 - p} | dict.fromkeys((1, 4, 7), p / 3))


def test_lowest_bounds_the_widths_below_full() -> None:
    law = Law(distribution="uniform_below_full", lowest=0.5, chunks=1)
    drawn = draw_many(law, {"a": 10}, 2_000)
    assert_shares([kept["a"] for kept in drawn], dict.fromkeys(range(5, 10), 1 / 5))


@pytest.mark.parametrize("distribution", ["log_uniform", "uniform"])
def test_steps_take_the_nearest_allowed_width(distribution: Distribution) -> None:
    law = Law(distribution=distribution, lowest=1 / 100, step=4, chunks=1)
    # Allowed in a group of 11 from 2 on: 2, 6, 10, 11. Halfway between them lie 4, 8 and 10.5 units.
    at = {units: fraction_below(law, units / 11) for units in (4, 8, 10.5)}
    expected = {2: at[4], 6: at[8] - at[4], 10: at[10.5] - at[8], 11: 1 - at[10.5]}
    drawn = draw_many(law, {"a": 11}, lower_bounds={"a": 2})
    assert_shares([kept["a"] for kept in drawn], expected)


@pytest.mark.parametrize("distribution", ["log_uniform", "uniform"])
def test_steps_take_no_width_below_the_lowest_fraction(distribution: Distribution) -> None:
    # 0.3 of 11 units are 3.3: the nearest allowed width is 2, but the first that is not below is 6.
    law = Law(distribution=distribution, lowest=0.3, step=4, chunks=1)
    at = {units: fraction_below(law, units / 11) for units in (8, 10.5)}
    expected = {6: at[8], 10: at[10.5] - at[8], 11: 1 - at[10.5]}
    drawn = draw_many(law, {"a": 11}, lower_bounds={"a": 2})
    assert_shares([kept["a"] for kept in drawn], expected)


@pytest.mark.parametrize("sharing", ["shared", "jittered", "independent"])
@pytest.mark.parametrize("distribution", ["log_uniform", "uniform"])
@pytest.mark.parametrize("step", [1, 4])
def test_full_width_has_positive_probability(sharing: Sharing, distribution: Distribution, step: int) -> None:
    law = Law(sharing=sharing, distribution=distribution, step=step, chunks=1)
    assert any(kept == {"a": 12, "b": 9} for kept in draw_many(law, {"a": 12, "b": 9}, 3_000))


def test_the_paper_never_draws_full_width_with_p_one() -> None:
    assert max(kept["a"] for kept in draw_many(LAWS["paper"], {"a": 6}, NUM_DRAWS)) == 5


def test_the_paper_draws_full_width_with_p_below_one() -> None:
    law = make_law("paper", p=0.5)
    drawn = draw_many(law, {"a": 6, "b": 6}, NUM_DRAWS)
    both_full = [kept == {"a": 6, "b": 6} for kept in drawn]
    assert_shares(both_full, {True: 0.25, False: 0.75})


# --- how groups and chunks hang together ------------------------------------------------------------------------------


@pytest.mark.parametrize("distribution", ["log_uniform", "uniform", "uniform_below_full"])
@pytest.mark.parametrize("chunks", [1, 4])
def test_independent_groups_are_independent(distribution: Distribution, chunks: int) -> None:
    law = Law(distribution=distribution, sharing="independent", chunks=chunks)
    generator = make_generator()
    # One draw of each batch only: those of the same batch are tied by their strata.
    drawn = [law.draw({"a": 4096, "b": 4096}, generator)[-1] for _ in range(NUM_DRAWS)]
    middle = sorted(kept["a"] for kept in drawn)[NUM_DRAWS // 2]
    quarters = [(kept["a"] >= middle, kept["b"] >= middle) for kept in drawn]
    assert_shares(quarters, dict.fromkeys([(False, False), (False, True), (True, False), (True, True)], 0.25))


def stratum_of(law: Law, kept: int, size: int, num_strata: int) -> int:
    """Which of the equal strata a width of a very wide group comes from."""
    if law.distribution == "uniform_below_full":
        return math.floor((kept - 1) / (size - 1) * num_strata)
    return math.floor(fraction_below(law, kept / size) * num_strata)


@pytest.mark.parametrize("distribution", ["log_uniform", "uniform", "uniform_below_full"])
@pytest.mark.parametrize("chunks", [3, 4, 6])
def test_each_draw_has_one_width_in_each_stratum_the_narrowest_first(distribution: Distribution, chunks: int) -> None:
    law = Law(distribution=distribution, chunks=chunks, lowest=1e-6 if distribution == "uniform_below_full" else 1 / 32)
    generator, size = make_generator(), 10**9
    for _ in range(200):
        strata = [stratum_of(law, kept["a"], size, chunks - 1) for kept in law.draw({"a": size}, generator)[1:]]
        assert strata == list(range(chunks - 1))


def test_independent_groups_take_the_strata_in_random_orders_of_their_own() -> None:
    law, generator, size = Law(sharing="independent"), make_generator(), 10**9
    orders = []
    for _ in range(NUM_DRAWS // 2):
        drawn = law.draw({"a": size, "b": size}, generator)[1:]
        orders.append(tuple(tuple(stratum_of(law, kept[name], size, 3) for kept in drawn) for name in "ab"))
    permutations = {(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)}
    assert_shares(orders, {(a, b): 1 / 36 for a in permutations for b in permutations})


def test_strata_leave_little_of_the_variance() -> None:
    size = 10**6
    strata, single = Law(distribution="uniform", chunks=9), Law(distribution="uniform", chunks=1)
    generator = make_generator()
    means = [sum(kept["a"] for kept in strata.draw({"a": size}, generator)[1:]) / 8 for _ in range(2_000)]
    alone = [single.draw({"a": size}, generator)[0]["a"] for _ in range(2_000)]
    # Eight strata of one draw each: 1/8 of the variance for the mean, times (1/8)^2 for the shorter intervals.
    ratio = torch.tensor(means).double().var() / torch.tensor(alone).double().var()
    assert abs(float(ratio) * 8**3 - 1) <= 0.25


def test_truncation_is_tossed_once_for_shared_groups_and_once_per_independent_group() -> None:
    sizes, p = {"a": 10**6, "b": 10**6}, 0.3
    for sharing, both in [("shared", p), ("jittered", p), ("independent", p * p)]:
        drawn = draw_many(Law(sharing=sharing, lowest=0.01, p=p, chunks=2), sizes, 5_000)
        # Jitter may clip one of two truncated groups to full: compare the groups where neither lies near full.
        narrow = [kept["a"] < 10**6 and kept["b"] < 10**6 for kept in drawn]
        if sharing == "jittered":
            assert sum(narrow) / len(narrow) <= p + 5 * math.sqrt(p * (1 - p) / len(narrow))
            assert {min(kept.values()) < 10**6 for kept in drawn} == {True, False}
        else:
            assert_shares(narrow, {True: both, False: 1 - both})
