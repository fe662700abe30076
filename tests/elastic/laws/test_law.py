import dataclasses
import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from widthwise._shared import WidthError
from widthwise.elastic.laws.draw import check_generator, pick_below_full
from widthwise.elastic.laws.law import Law, Rescale
from widthwise.elastic.laws.named_laws import LAWS
from widthwise.groups.width import units


def make_generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


LAWS_OF_FRACTIONS = st.builds(
    Law,
    distribution=st.sampled_from(["log_uniform", "uniform"]),
    sharing=st.sampled_from(["shared", "jittered", "independent"]),
    lowest=st.floats(1e-3, 0.9),
    p=st.floats(0.1, 1),
    step=st.integers(1, 5),
    chunks=st.integers(1, 6),
)
LAWS_OF_UNITS = st.builds(
    Law,
    distribution=st.just("uniform_below_full"),
    sharing=st.sampled_from(["shared", "independent"]),
    lowest=st.floats(1e-3, 0.3),
    p=st.floats(0.1, 1),
    step=st.integers(1, 5),
    chunks=st.integers(1, 6),
)
# "wide" can always be truncated; the others sometimes cannot.
SIZES = st.fixed_dictionaries(
    {"wide": st.integers(120, 900), "narrow": st.integers(1, 12), "b.fc": st.integers(1, 300)}
)
BOUNDS = st.fixed_dictionaries({}, optional={"wide": st.integers(1, 9), "narrow": st.integers(1, 20)})
SEEDS = st.integers(0, 2**32 - 1)


# --- the laws of every draw ---------------------------------------------------------------------------------------


@given(law=LAWS_OF_FRACTIONS | LAWS_OF_UNITS, sizes=SIZES, bounds=BOUNDS, seed=SEEDS)
def test_every_width_is_the_lower_bound_plus_steps_or_full(
    law: Law, sizes: dict[str, int], bounds: dict[str, int], seed: int
) -> None:
    drawn = law.draw(sizes, make_generator(seed), lower_bounds=bounds)
    assert len(drawn) == law.chunks
    for kept in drawn:
        assert list(kept) == list(sizes)
        for name, size in sizes.items():
            lower = bounds.get(name, 1)
            assert kept[name] == size or (lower <= kept[name] < size and (kept[name] - lower) % law.step == 0)


@given(law=LAWS_OF_FRACTIONS | LAWS_OF_UNITS, sizes=SIZES, bounds=BOUNDS, seed=SEEDS)
def test_nothing_is_drawn_below_the_lowest_fraction(
    law: Law, sizes: dict[str, int], bounds: dict[str, int], seed: int
) -> None:
    for kept in law.draw(sizes, make_generator(seed), lower_bounds=bounds):
        assert all(kept[name] >= units(law.lowest, size, bounds.get(name, 1)) for name, size in sizes.items())


@given(law=LAWS_OF_FRACTIONS | LAWS_OF_UNITS, sizes=SIZES, seed=SEEDS)
def test_the_first_of_several_chunks_is_full(law: Law, sizes: dict[str, int], seed: int) -> None:
    drawn = law.draw(sizes, make_generator(seed))
    assert law.chunks == 1 or drawn[0] == sizes


@given(law=LAWS_OF_FRACTIONS | LAWS_OF_UNITS, sizes=SIZES, seed=SEEDS)
def test_the_same_generator_state_gives_the_same_draws(law: Law, sizes: dict[str, int], seed: int) -> None:
    generator, twin = make_generator(seed), make_generator(seed)
    assert [law.draw(sizes, generator) for _ in range(3)] == [law.draw(sizes, twin) for _ in range(3)]


@given(law=LAWS_OF_FRACTIONS | LAWS_OF_UNITS, sizes=SIZES, seed=SEEDS)
def test_global_random_state_is_untouched(law: Law, sizes: dict[str, int], seed: int) -> None:
    before = torch.get_rng_state()
    law.draw(sizes, make_generator(seed))
    assert torch.equal(torch.get_rng_state(), before)


def test_draws_move_on() -> None:
    generator = make_generator()
    assert len({Law().draw({"fc": 10**6}, generator)[1]["fc"] for _ in range(20)}) == 20


@pytest.mark.parametrize("law", [*LAWS.values(), Law(sharing="jittered"), Law(sharing="independent")])
def test_a_group_that_cannot_be_truncated_stays_full(law: Law) -> None:
    sizes, bounds = {"one": 1, "bound": 8, "beyond": 8, "free": 64}, {"bound": 8, "beyond": 12}
    generator = make_generator()
    for kept in [kept for _ in range(20) for kept in law.draw(sizes, generator, lower_bounds=bounds, batch=7)]:
        assert (kept["one"], kept["bound"], kept["beyond"]) == (1, 8, 8)


@given(law=LAWS_OF_FRACTIONS, seed=SEEDS, size=st.integers(50, 400))
def test_shared_groups_of_one_size_have_one_width(law: Law, seed: int, size: int) -> None:
    law = dataclasses.replace(law, sharing="shared")
    for kept in law.draw({"a": size, "b": size, "c": size}, make_generator(seed)):
        assert kept["a"] == kept["b"] == kept["c"]


# --- the factor -------------------------------------------------------------------------------------------------------


@given(full=st.integers(1, 4096), kept=st.data(), rescale=st.sampled_from(["none", "sqrt", "inverse"]))
def test_the_factor_is_a_power_of_full_over_kept(full: int, kept: st.DataObject, rescale: Rescale) -> None:
    units_kept = kept.draw(st.integers(1, full))
    power = {"none": 0, "sqrt": 0.5, "inverse": 1}[rescale]
    factor = Law(rescale=rescale).factor(full, units_kept)
    assert math.isclose(factor, (full / units_kept) ** power, rel_tol=1e-12)


@pytest.mark.parametrize("rescale", ["none", "sqrt", "inverse"])
def test_the_factor_at_full_width_is_exactly_one(rescale: Rescale) -> None:
    assert all(Law(rescale=rescale).factor(full, full) == 1.0 for full in range(1, 300))


# --- names and pinned values ------------------------------------------------------------------------------------------


def test_the_defaults_are_log_uniform_shared_four_chunks_no_rescale() -> None:
    assert dataclasses.asdict(LAWS["log_uniform"]) == {
        "distribution": "log_uniform",
        "sharing": "shared",
        "lowest": 1 / 32,
        "p": 1.0,
        "step": 1,
        "rescale": "none",
        "chunks": 4,
        "widths": None,
        "between": 0.0,
        "sandwich": None,
        "distillation": None,
        "weight": 0.0,
        "slow_start": 0,
        "reach": "all",
        "unit_affine": False,
        "octave_weights": False,
    }


def test_pinned_draws() -> None:
    sizes = {"fc1": 256, "fc2": 64}
    assert Law().draw(sizes, make_generator(7)) == [
        {"fc1": 256, "fc2": 64},
        {"fc1": 11, "fc2": 3},
        {"fc1": 54, "fc2": 14},
        {"fc1": 113, "fc2": 28},
    ]
    assert LAWS["paper"].draw(sizes, make_generator(7)) == [{"fc1": 72, "fc2": 42}]


@pytest.mark.parametrize("quantile", [0.0, 0.999, 1 - 2**-53, 1.0])
def test_a_quantile_up_to_one_picks_a_width_below_full(quantile: float) -> None:
    assert pick_below_full(quantile, 10, 1, 3) in {1, 4, 7}
    assert pick_below_full(quantile, 4, 3, 5) == 3


def test_a_law_is_frozen_and_hashable() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Law().p = 0.5
    assert hash(Law()) == hash(LAWS["log_uniform"])


# --- errors -----------------------------------------------------------------------------------------------------------


def message_of(function: Callable[..., object], *arguments: object, **settings: object) -> str:
    with pytest.raises(WidthError) as error:
        function(*arguments, **settings)
    return str(error.value)


@pytest.mark.parametrize(
    ("setting", "text"),
    [
        (
            {"distribution": "normal"},
            "distribution must be one of log_uniform, uniform, uniform_below_full, got 'normal'; use one of these",
        ),
        ({"sharing": "own"}, "sharing must be one of shared, jittered, independent, got 'own'; use one of these"),
        ({"rescale": "linear"}, "rescale must be one of none, sqrt, inverse, got 'linear'; use one of these"),
        ({"lowest": 0.0}, "lowest must lie in (0, 1), got 0.0; train the network itself to truncate nothing"),
        ({"lowest": 1.0}, "lowest must lie in (0, 1), got 1.0; train the network itself to truncate nothing"),
        ({"lowest": "1/32"}, "lowest must lie in (0, 1), got '1/32'; train the network itself to truncate nothing"),
        ({"p": 0.0}, "p must lie in (0, 1], got 0.0; train the network itself to truncate nothing"),
        ({"p": 1.1}, "p must lie in (0, 1], got 1.1; train the network itself to truncate nothing"),
        ({"p": math.nan}, "p must lie in (0, 1], got nan; train the network itself to truncate nothing"),
        ({"p": True}, "p must lie in (0, 1], got True; train the network itself to truncate nothing"),
        ({"step": 0}, "step must be a whole number, at least 1, got 0; use 1 for every width"),
        (
            {"chunks": 2.0},
            'chunks must be a whole number, at least 1, got 2.0; use 1 for one per batch, or "each" for one per sample',
        ),
    ],
)
def test_a_setting_out_of_its_range_is_refused(setting: dict[str, object], text: str) -> None:
    assert message_of(Law, **setting) == text


def test_jitter_of_whole_units_is_refused() -> None:
    assert message_of(Law, sharing="jittered", distribution="uniform_below_full") == (
        "jittered sharing must go with a distribution of fractions, got 'uniform_below_full'; "
        "use distribution 'uniform', or sharing 'shared' or 'independent'"
    )


def test_a_law_that_would_truncate_nothing_is_refused() -> None:
    assert message_of(Law(lowest=0.5, step=64).draw, {"fc2": 1, "fc1": 32}, make_generator()) == (
        "a law must reach a width below full in some group, got lowest 0.5 and step 64 "
        "for groups of at most 32 units (fc1); use smaller ones, or smaller lower bounds, or train the network itself"
    )


def test_no_group_at_all_is_refused() -> None:
    assert "got lowest 0.03125 and step 1 for no group at all;" in message_of(Law().draw, {}, make_generator())


def test_a_lower_bound_for_no_group_is_refused() -> None:
    assert message_of(Law().draw, {"a": 8, "b": 8}, make_generator(), lower_bounds={"c": 2, "a": 1}) == (
        "lower_bounds must name groups among a, b, got c; leave it out"
    )


def test_a_generator_on_another_device_is_refused() -> None:
    class Elsewhere:
        device = torch.device("cuda")

    text = "generator must be on the cpu, got one on cuda; use torch.Generator()"
    assert message_of(check_generator, Elsewhere()) == text
    assert message_of(Law().draw, {"a": 8}, Elsewhere()) == text


@pytest.mark.parametrize("kept", [0, 65])
def test_a_factor_for_an_impossible_width_is_refused(kept: int) -> None:
    assert message_of(Law().factor, 64, kept) == f"kept must lie in [1, 64], got {kept}; use kept=64 for full width"
