from math import log2

from hypothesis import given
from hypothesis import strategies as st

from tests.curves.searchable import make_rungs, make_searchable
from widthwise.curves.groupwise.lattice import Lattice, make_lattice
from widthwise.groups.width import units


class Rounded:
    """Two groups, one of which keeps to multiples of 8 and at least 8, and one that moves by name only."""

    def widths(self, width: float, /) -> dict[str, int]:
        return {"fc1": units(width, 60, 8, 8), "fc2": units(width, 33), "key": 7}


@given(st.integers(1, 600), st.integers(1, 600), st.floats(1 / 64, 0.99))
def test_rungs_are_the_widths_that_fractions_give(first: int, second: int, lowest: float) -> None:
    class Model:
        def widths(self, width: float, /) -> dict[str, int]:
            return {"a": units(width, first), "b": units(width, second)}

    lattice = make_lattice(Model(), lowest)
    assert lattice.full == (first, second)
    assert lattice.smallest == (units(lowest, first), units(lowest, second))
    for rungs, size in zip(lattice.rungs, (first, second), strict=True):
        assert list(rungs) == sorted(set(rungs))
        assert all(units(lowest, size) <= rung <= size for rung in rungs)


def test_steps_lower_bounds_and_groups_that_move_by_name_are_respected() -> None:
    lattice = make_lattice(Rounded(), 1 / 16)
    assert lattice.rungs[0] == (8, 16, 24, 32, 40, 48, 56, 60)
    assert lattice.rungs[2] == (7,)
    assert lattice.groups == ("fc1", "fc2", "key")


def test_common_fractions_are_known_from_the_widest_on() -> None:
    lattice = make_lattice(make_searchable(), 1 / 8)
    assert next(iter(lattice.fractions.items())) == ((32, 16), 1.0)
    assert lattice.fractions[16, 8] == 0.5
    assert list(lattice.fractions)[-1] == (4, 2) == lattice.smallest
    assert lattice.half_octaves == ((32, 16), (23, 11), (16, 8), (11, 6), (8, 4), (6, 3), (4, 2))


@given(st.integers(0, 24), st.sampled_from([-2.0, -1.0, -0.5, -0.125, 0.125, 0.5, 1.0, 2.0]))
def test_a_shift_moves_one_group_to_the_nearest_rung_in_its_direction(place: int, octaves: float) -> None:
    lattice = make_lattice(make_searchable(), 1 / 8)
    here = list(lattice.fractions)[place % len(lattice.fractions)]
    moved = lattice.shift(here, 0, octaves)
    ahead = [rung for rung in lattice.rungs[0] if (rung > here[0]) == (octaves > 0) and rung != here[0]]
    if moved is None:
        assert ahead == []
        return
    assert moved[1] == here[1]
    assert moved[0] in ahead
    assert all(abs(log2(moved[0] / here[0]) - octaves) <= abs(log2(rung / here[0]) - octaves) + 1e-12 for rung in ahead)


def test_scaling_moves_every_group_as_far_as_it_reaches() -> None:
    lattice = make_lattice(make_searchable(), 1 / 8)
    assert lattice.scale((32, 16), -1.0) == (16, 8)
    assert lattice.scale((4, 16), -2.0) == (4, 4)
    assert lattice.scale((16, 8), 5.0) == lattice.full


@given(st.integers(1, 60), st.integers(1, 60))
def test_a_group_is_widened_as_far_as_it_fits(start: int, budget: int) -> None:
    lattice = make_rungs(range(1, 61), range(1, 61))
    widened = lattice.widen((start, 1), 0, lambda units: units[0] / budget)
    assert widened == ((min(budget, 60), 1) if budget > start else None)


@given(st.integers(6, 600))
def test_the_widest_common_fraction_that_fits_is_found(budget: int) -> None:
    lattice = make_lattice(make_searchable(), 1 / 8)

    def load(units: tuple[int, ...]) -> float:
        return sum(units) / budget

    found = lattice.find_common(load)
    assert found == max((units for units in lattice.fractions if sum(units) <= budget), key=sum)


def test_where_no_common_fraction_fits_the_narrowest_is_returned() -> None:
    lattice: Lattice = make_lattice(make_searchable(), 1 / 8)
    assert lattice.find_common(lambda _: 2.0) == lattice.smallest
