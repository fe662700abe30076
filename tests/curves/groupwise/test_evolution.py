import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import RandomStateCheck
from tests.curves.searchable import every_units, make_rungs
from widthwise.curves.groupwise.evolution import POPULATION, evolve
from widthwise.curves.groupwise.lattice import Lattice, Units

LATTICE = make_rungs(range(1, 33), range(1, 17), range(1, 9))


def cost(units: Units) -> float:
    return float(units[0] + 2 * units[1] + 4 * units[2])


def goodness(units: Units) -> float:
    return -1.0 / units[0] - 3.0 / units[1] - 0.1 / units[2]


def run(budget: float, *, trials: int, seed: int = 0, lattice: Lattice = LATTICE) -> tuple[Units, list[Units]]:
    asked: list[Units] = []

    def score(units: Units) -> float:
        asked.append(units)
        return goodness(units)

    generator = torch.Generator().manual_seed(seed)
    found = evolve(lattice, lambda units: cost(units) / budget, score, generator, is_spent=lambda: len(asked) >= trials)
    return found, asked


@given(st.floats(7.0, 100.0), st.integers(0, 1000))
def test_everything_tried_fits_and_is_tried_once(budget: float, seed: int) -> None:
    found, asked = run(budget, trials=40, seed=seed)
    assert all(cost(units) <= budget for units in asked)
    assert len(set(asked)) == len(asked) <= 40
    assert goodness(found) == max(map(goodness, asked))


def test_it_comes_near_the_optimum_and_beats_the_common_fraction() -> None:
    found, asked = run(48.0, trials=300)
    best = max(goodness(units) for units in every_units(LATTICE) if cost(units) <= 48.0)
    common = LATTICE.find_common(lambda units: cost(units) / 48.0)
    assert asked[0] == common
    assert goodness(found) > goodness(common)
    assert goodness(found) > best - 0.02


def test_the_same_seed_finds_the_same_and_another_tries_others() -> None:
    assert run(48.0, trials=60, seed=1) == run(48.0, trials=60, seed=1)
    assert run(48.0, trials=60, seed=1)[1] != run(48.0, trials=60, seed=2)[1]


def test_the_global_random_state_is_untouched(untouched_random_state: RandomStateCheck) -> None:
    with untouched_random_state():
        assert len(run(48.0, trials=40)[1]) == 40


def test_a_space_that_is_used_up_ends_it() -> None:
    lattice = make_rungs((1, 2), (1, 2), (1, 2))
    found, asked = run(14.0, trials=10_000, lattice=lattice)
    assert found == (2, 2, 2)
    assert len(asked) <= 8 < POPULATION


def test_no_trial_beyond_the_first_is_made_where_none_is_left() -> None:
    assert len(run(48.0, trials=1)[1]) == 1
