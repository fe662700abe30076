import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.curves.searchable import every_units, make_rungs
from widthwise.curves.groupwise.greedy import Losses, descend, find_step, improve
from widthwise.curves.groupwise.lattice import Lattice, Units

PRICES = (1.0, 2.0, 5.0)
# Groups of 2 to 12 units, each worth something with diminishing returns.
WORTHS = st.lists(st.floats(0.1, 10), min_size=2, max_size=3)
SIZES = st.lists(st.integers(2, 12), min_size=3, max_size=3)
SHARES = st.floats(0.0, 1.0)


class Problem:
    """A knapsack: cost is a sum over groups, and so is the score, with diminishing returns per cost."""

    def __init__(self, worths: list[float], sizes: list[int], share: float) -> None:
        self.worths = worths
        self.lattice: Lattice = make_rungs(*(range(1, size + 1) for size in sizes[: len(worths)]))
        low, high = self.cost(self.lattice.smallest), self.cost(self.lattice.full)
        self.budget = low + share * (high - low)
        self.asked: list[Units] = []

    def cost(self, units: Units) -> float:
        return sum(price * kept for price, kept in zip(PRICES, units, strict=False))

    def load(self, units: Units) -> float:
        # The slack is for rounding where the budget is the cost of the narrowest or the widest network.
        return self.cost(units) / (self.budget * (1 + 1e-9))

    def goodness(self, units: Units) -> float:
        self.asked.append(units)
        return self.value(units)

    def value(self, units: Units) -> float:
        return -sum(worth / kept for worth, kept in zip(self.worths, units, strict=True))

    def optimum(self, budget: float) -> float:
        fitting = [units for units in every_units(self.lattice) if self.cost(units) <= budget + 1e-9]
        return max((self.value(units) for units in fitting), default=-float("inf"))

    @property
    def largest_step(self) -> float:
        moved = (
            (units, self.lattice.shift(units, group, -find_step(self.lattice)))
            for units in every_units(self.lattice)
            for group in range(len(self.worths))
        )
        return max(self.cost(units) - self.cost(down) for units, down in moved if down is not None)


@given(WORTHS, SIZES, SHARES)
def test_the_descent_finds_the_optimum_of_a_knapsack_within_its_step(
    worths: list[float], sizes: list[int], share: float
) -> None:
    problem = Problem(worths, sizes, share)
    found = descend(problem.lattice, problem.load, problem.goodness, problem.lattice.full, {})
    assert problem.load(found) <= 1
    assert problem.value(found) >= problem.optimum(problem.budget - problem.largest_step) - 1e-9


@given(WORTHS, SIZES, SHARES)
def test_local_moves_never_lose_and_keep_to_the_budget(worths: list[float], sizes: list[int], share: float) -> None:
    problem = Problem(worths, sizes, share)
    losses = Losses()
    start = descend(problem.lattice, problem.load, problem.goodness, problem.lattice.full, losses)
    problem.asked.clear()
    found = improve(problem.lattice, problem.load, problem.goodness, start, losses)
    assert problem.value(start) <= problem.value(found) <= problem.optimum(problem.budget) + 1e-9
    assert all(problem.load(units) <= 1 for units in problem.asked)
    assert all(problem.value(units) <= problem.value(found) for units in problem.asked)


@given(WORTHS, SIZES, SHARES)
def test_the_descent_goes_down_and_asks_about_few(worths: list[float], sizes: list[int], share: float) -> None:
    problem = Problem(worths, sizes, share)
    found = descend(problem.lattice, problem.load, problem.goodness, problem.lattice.full, {})
    num_steps = sum(
        rungs.index(rungs[-1]) - rungs.index(kept) for rungs, kept in zip(problem.lattice.rungs, found, strict=True)
    )
    # Each step asks about every group at most; the bound on networks is that on steps times that.
    assert len(set(problem.asked)) <= 1 + len(worths) * max(1, num_steps)
    assert all(kept <= full for kept, full in zip(found, problem.lattice.full, strict=True))


def test_a_start_that_fits_is_left_as_it_is() -> None:
    problem = Problem([1.0, 1.0], [8, 8, 8], 1.0)
    assert descend(problem.lattice, problem.load, problem.goodness, (8, 8), {}) == (8, 8)
    assert problem.asked == []


def test_what_saves_nothing_is_never_narrowed() -> None:
    lattice = make_rungs(range(1, 9), range(1, 9))
    found = descend(lattice, lambda units: units[0] / 4, lambda units: -1.0 / units[0], lattice.full, {})
    assert found == (4, 8)


def test_noise_in_a_latency_does_not_stop_the_descent() -> None:
    # The cost rises on the first step down, as a measured time may.
    lattice = make_rungs(range(1, 5))
    times = {4: 2.0, 3: 2.5, 2: 1.5, 1: 0.5}
    assert descend(lattice, lambda units: times[units[0]], lambda units: float(units[0]), lattice.full, {}) == (1,)


def test_losses_are_measured_again_only_where_a_group_would_be_next() -> None:
    lattice = make_rungs(range(1, 65), range(1, 65), range(1, 65))
    asked: list[Units] = []

    def goodness(units: Units) -> float:
        asked.append(units)
        return -1e6 / units[0] - 1e6 / units[1] - 1.0 / units[2]

    descend(lattice, lambda units: sum(units) / 140, goodness, lattice.full, {})
    tried = list(dict.fromkeys(asked))
    # The worthless group pays for all of it: the other two are asked about once.
    assert sum(units[0] < 64 or units[1] < 64 for units in tried) == 2


def test_moves_end_when_nothing_more_may_be_scored() -> None:
    problem = Problem([1.0, 9.0], [24, 24, 24], 0.3)
    start = problem.lattice.find_common(problem.load)
    known = {start: problem.goodness(start)}

    def goodness(units: Units) -> float:
        return known.setdefault(units, problem.goodness(units))

    improve(problem.lattice, problem.load, goodness, start, {}, is_spent=lambda: len(known) >= 3)
    assert len(known) == 3


def test_moves_find_what_the_descent_cannot() -> None:
    # Only together do the two groups help, so one step at a time goes wrong.
    lattice = make_rungs(range(1, 17), range(1, 17))
    start = (12, 4)
    found = improve(lattice, lambda units: sum(units) / 16, lambda units: float(min(units)), start, {0: 1.0, 1: 5.0})
    assert found == (8, 8)


@pytest.mark.parametrize(("count", "step"), [(1, 1 / 16), (2, 1 / 8), (8, 0.5), (40, 0.5)])
def test_few_groups_go_in_small_steps(count: int, step: float) -> None:
    assert find_step(make_rungs(*itertools.repeat((1, 2), count))) == step
