from hypothesis import given
from hypothesis import strategies as st

from widthwise.curves.groupwise.finalists import choose_finalists, find_front
from widthwise.curves.groupwise.lattice import Units

KNOWN = st.dictionaries(st.tuples(st.integers(1, 50)), st.floats(-1, 1), min_size=1, max_size=40)


def cost(units: Units) -> float:
    return float(units[0])


@given(KNOWN)
def test_the_front_is_what_nothing_cheaper_equals(known: dict[Units, float]) -> None:
    front = find_front(known, cost)
    for units, good in known.items():
        is_beaten = any(cost(o) < cost(units) and known[o] >= good for o in known)
        assert (units in front) == (not is_beaten)
    assert [cost(units) for units in front] == sorted(cost(units) for units in front)


@given(KNOWN, st.integers(1, 60), st.integers(1, 4))
def test_the_best_under_each_budget_are_among_them(known: dict[Units, float], budget: int, count: int) -> None:
    found = choose_finalists(known, [lambda units: units[0] / budget], cost, per_budget=count)
    ranked = sorted((good for units, good in known.items() if units[0] <= budget), reverse=True)
    kept = sorted((known[units] for units in found if units[0] <= budget), reverse=True)
    assert kept[:count] == ranked[:count]
    assert len(found) <= count + 8


def test_of_a_long_front_some_are_left_at_equal_ratios_of_cost() -> None:
    known = {(place,): float(place) for place in range(1, 129)}
    found = choose_finalists(known, [], cost, per_budget=1)
    assert found == [(1,), (2,), (4,), (8,), (16,), (32,), (64,), (128,)]


def test_of_equal_scores_the_cheaper_is_the_answer() -> None:
    assert choose_finalists({(9,): 1.0, (3,): 1.0}, [lambda units: units[0] / 9], cost, per_budget=1) == [(3,)]
