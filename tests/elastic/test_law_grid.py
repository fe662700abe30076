"""What a law says beside its distribution: grids of widths, sandwiches, a width per sample, a slow start."""

import itertools
import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.elastic.laws.test_law import SEEDS, SIZES, make_generator, message_of
from widthwise.elastic.laws.distillation import Distillation
from widthwise.elastic.laws.law import Law
from widthwise.elastic.laws.named_laws import LAWS, make_law
from widthwise.groups.width import units

GRIDS = st.lists(st.floats(0.02, 0.98), min_size=1, max_size=6, unique=True).map(lambda each: (*sorted(each), 1.0))
FRACTIONS = st.sampled_from(["log_uniform", "uniform"])


# --- grids ------------------------------------------------------------------------------------------------------------


@given(grid=GRIDS, sizes=SIZES, seed=SEEDS, chunks=st.integers(1, 5))
def test_only_widths_of_the_grid_are_drawn(
    grid: tuple[float, ...], sizes: dict[str, int], seed: int, chunks: int
) -> None:
    law = Law(widths=grid, chunks=chunks)
    allowed = [{name: units(fraction, size) for name, size in sizes.items()} for fraction in grid]
    assert all(drawn in allowed for drawn in law.draw(sizes, make_generator(seed)))


@given(number=st.integers(2, 12), lowest=st.floats(0.01, 0.9), distribution=FRACTIONS)
def test_a_number_of_widths_goes_from_the_lowest_to_full_at_equal_steps(
    number: int, lowest: float, distribution: str
) -> None:
    levels = Law(widths=number, lowest=lowest, distribution=distribution).levels
    assert len(levels) == number
    assert levels[0] == pytest.approx(lowest, rel=1e-12)
    assert levels[-1] == 1.0
    scale = [math.log(level) for level in levels] if distribution == "log_uniform" else list(levels)
    gaps = [after - before for before, after in itertools.pairwise(scale)]
    assert gaps == pytest.approx([gaps[0]] * (number - 1), rel=1e-6)


@given(grid=GRIDS, seed=SEEDS)
def test_as_many_chunks_as_widths_run_each_width_once(grid: tuple[float, ...], seed: int) -> None:
    drawn = Law(widths=grid, chunks=max(2, len(grid))).draw({"a": 10_000}, make_generator(seed))
    expected = {units(fraction, 10_000) for fraction in grid}
    assert {each["a"] for each in drawn} == expected


@given(grid=GRIDS, seed=SEEDS)
def test_jitter_stays_on_the_grid(grid: tuple[float, ...], seed: int) -> None:
    law = Law(widths=grid, sharing="jittered")
    allowed = {units(fraction, 10_000) for fraction in grid}
    for drawn in law.draw({"a": 10_000, "b": 10_000}, make_generator(seed)):
        assert {drawn["a"], drawn["b"]} <= allowed


def test_every_width_of_a_grid_is_equally_likely() -> None:
    generator, num_draws = make_generator(), 4000
    law = LAWS["fjord"]
    drawn = [law.draw({"a": 100}, generator)[0]["a"] for _ in range(num_draws)]
    bound = 5 * math.sqrt(0.2 * 0.8 / num_draws)
    for width in (20, 40, 60, 80, 100):
        assert abs(drawn.count(width) / num_draws - 0.2) < bound


def test_as_large_a_share_of_draws_as_asked_for_leaves_the_grid() -> None:
    generator, num_draws, size = make_generator(), 4000, 2**20
    drawn = [Law(widths=6, chunks=1, between=0.3).draw({"a": size}, generator)[0]["a"] for _ in range(num_draws)]
    octaves = {size >> i for i in range(6)}
    # Of the others hardly one falls on an octave by rounding.
    left = [width for width in drawn if width not in octaves]
    assert abs(len(left) / num_draws - 0.3) < 5 * math.sqrt(0.3 * 0.7 / num_draws)
    places = sorted(-math.log2(width / size) for width in left)
    worst = max(abs(place / 5 - (i + 0.5) / len(left)) for i, place in enumerate(places))
    # The 99.9 % quantile of Kolmogorov's statistic.
    assert worst < 1.95 / math.sqrt(len(left)) + 0.5 / len(left)


def test_what_leaves_the_grid_stays_off_it_with_jitter_too() -> None:
    generator, num_draws, size = make_generator(), 2000, 2**20
    law = Law(widths=6, chunks=1, between=0.3, sharing="jittered")
    octaves = {size >> i for i in range(6)}
    drawn = [law.draw({"a": size, "b": size}, generator)[0] for _ in range(num_draws)]
    # A jitter that ends above full, or below the lowest, falls on these.
    off = [each for each in drawn if {each["a"], each["b"]} - octaves]
    on = [each for each in drawn if not {each["a"], each["b"]} & octaves]
    assert len(off) / num_draws < 0.3 + 5 * math.sqrt(0.3 * 0.7 / num_draws)
    assert len(on) / num_draws > 0.15


@given(seed=SEEDS)
def test_strata_hold_on_the_grid_and_off_it(seed: int) -> None:
    drawn = Law(widths=(1 / 8, 1 / 4, 1 / 2, 1.0), between=0.5).draw({"a": 2**20}, make_generator(seed))
    assert drawn[0]["a"] == 2**20
    for i, each in enumerate(drawn[1:]):
        assert 2 ** (17 + i) <= each["a"] <= 2 ** (18 + i)


@pytest.mark.parametrize("between", [-0.1, 1.0, math.nan, True, "half"])
def test_a_share_is_a_share(between: float) -> None:
    text = f"between must lie in [0, 1), got {between!r}; leave out widths to draw from all"
    assert message_of(Law, widths=6, between=between) == text


def test_a_share_off_the_grid_needs_a_grid() -> None:
    assert message_of(Law, between=0.5) == "between must go with widths to leave, got 0.5 alone; leave it out"


def test_listed_widths_tell_the_lowest() -> None:
    assert Law(widths=(0.25, 1.0)).lowest == 0.25
    assert Law(widths=[0.25, 1]) == Law(widths=(0.25, 1.0))
    assert make_law("fjord", widths=(1 / 32, 1.0)).lowest == 1 / 32
    assert make_law("us_nets", lowest=1 / 32).lowest == 1 / 32


# --- sandwiches -------------------------------------------------------------------------------------------------------


@given(number=st.integers(2, 7), seed=SEEDS, sizes=SIZES, distribution=FRACTIONS)
def test_a_sandwich_has_full_width_first_and_the_lowest_of_three_or_more(
    number: int, seed: int, sizes: dict[str, int], distribution: str
) -> None:
    drawn = Law(sandwich=number, distribution=distribution).draw(sizes, make_generator(seed))
    assert len(drawn) == number
    assert drawn[0] == sizes
    if number > 2:
        assert drawn[1] == {name: units(1 / 32, size) for name, size in sizes.items()}


def test_a_sandwich_of_a_whole_grid_runs_every_width() -> None:
    law = make_law("mrl", lowest=1 / 32, widths=6, sandwich=6)
    for seed in range(5):
        drawn = law.draw({"a": 320}, make_generator(seed))
        assert sorted(each["a"] for each in drawn) == [10, 20, 40, 80, 160, 320]


# --- a width per sample -----------------------------------------------------------------------------------------------


@given(seed=SEEDS, batch=st.integers(1, 64))
def test_each_sample_has_a_width_the_widest_first(seed: int, batch: int) -> None:
    drawn = Law(chunks="each").draw({"a": 1000}, make_generator(seed), batch=batch)
    widths = [each["a"] for each in drawn]
    assert len(widths) == batch
    assert widths == sorted(widths, reverse=True)


def test_samples_are_spread_evenly_over_the_grid() -> None:
    drawn = LAWS["triangular"].draw({"a": 160}, make_generator(), batch=64)
    widths = [each["a"] for each in drawn]
    assert {width: widths.count(width) for width in set(widths)} == {10 * i: 4 for i in range(1, 17)}


def test_a_width_per_sample_needs_the_number_of_samples() -> None:
    assert message_of(Law(chunks="each").draw, {"a": 8}, make_generator()) == (
        'chunks="each" must know the number of samples, got no batch; pass batch='
    )


# --- a slow start -----------------------------------------------------------------------------------------------------


def test_a_slow_start_is_full_then_narrows_then_is_the_law() -> None:
    law = Law(slow_start=100)
    assert all(law.at_step(step) is None for step in range(51))
    lowest = [law.at_step(step).lowest for step in range(51, 101)]  # pyright: ignore[reportOptionalMemberAccess]
    assert lowest == sorted(lowest, reverse=True)
    assert lowest[-1] == law.lowest
    assert law.at_step(75).lowest == pytest.approx(law.lowest**0.5, rel=1e-12)  # pyright: ignore[reportOptionalMemberAccess]
    assert law.at_step(100) is law
    assert Law().at_step(0) == Law()


@pytest.mark.parametrize("law", [replace(law, slow_start=10) for law in LAWS.values()])
def test_every_law_can_start_slowly(law: Law) -> None:
    for step in range(12):
        now = law.at_step(step)
        if now is not None:
            drawn = now.draw({"a": 512}, make_generator(step), batch=9)
            assert all(512 * law.lowest - 1 <= each["a"] <= 512 for each in drawn)


# --- errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "text"),
    [
        ({"widths": 1}, "widths must be a whole number, at least 2, got 1; use None to draw from all"),
        (
            {"widths": (0.5, 0.25, 1.0)},
            (
                "widths must be fractions in (0, 1] that rise to 1, two at least, got (0.5, 0.25, 1.0); "
                "write such as (0.25, 0.5, 1.0)"
            ),
        ),
        (
            {"widths": (0.25, 0.5)},
            (
                "widths must be fractions in (0, 1] that rise to 1, two at least, got (0.25, 0.5); "
                "write such as (0.25, 0.5, 1.0)"
            ),
        ),
        (
            {"widths": (0.25, 1.0), "lowest": 0.5},
            "lowest must be the first of widths, got 0.5 beside (0.25, 1.0); leave out lowest",
        ),
        (
            {"widths": 4, "distribution": "uniform_below_full"},
            "widths must go with a distribution of fractions, got 'uniform_below_full'; use distribution 'uniform'",
        ),
        ({"sandwich": 1}, "sandwich must be a whole number, at least 2, got 1; use None to split the batch instead"),
        (
            {"sandwich": 3, "chunks": 2},
            "a sandwich must run whole batches, got chunks=2 beside sandwich=3; leave out one of the two",
        ),
        (
            {"distillation": Distillation()},
            (
                "distillation must have the full network's outputs on the same samples, got a law that splits the "
                "batch; add sandwich=2 or more, or leave out distillation"
            ),
        ),
        ({"weight": -1.0}, "weight must be a number, at least 0, got -1.0; use 0 to count all widths alike"),
        (
            {"slow_start": -1},
            "slow_start must be a whole number, at least 1, got -1; use 0 for none",
        ),
        ({"reach": "tail"}, "reach must be one of all, hidden, head, got 'tail'; use one of these"),
    ],
)
def test_a_setting_that_makes_no_law_is_refused(setting: dict[str, object], text: str) -> None:
    assert message_of(Law, **setting) == text


def test_a_law_with_everything_is_hashable() -> None:
    law = Law(widths=(0.5, 1.0), sandwich=2, distillation=Distillation(weight=0.5), weight=0.3, slow_start=4)
    assert hash(law) == hash(replace(law))
