import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.curves.choices import COSTS, choose, make_point, message_of
from widthwise._shared import NoPointError
from widthwise.curves import Point


def curves_of() -> st.SearchStrategy[list[Point]]:
    one = st.tuples(st.integers(0, 20), st.integers(1, 30), st.integers(1, 30), st.integers(1, 30), st.integers(1, 30))

    def build(rows: list[tuple[int, int, int, int, int]]) -> list[Point]:
        return [
            make_point((index + 1) / len(rows), score / 20, a, macs=b, bytes=c, latency_ms=float(d))
            for index, (score, a, b, c, d) in enumerate(rows)
        ]

    return st.lists(one, min_size=1, max_size=8).map(build)


budgets = st.fixed_dictionaries(
    {},
    optional={
        **{name: st.integers(1, 30) for name in COSTS},
        "min_score": st.integers(0, 20).map(lambda n: n / 20),
        "max_drop": st.integers(0, 20).map(lambda n: n / 20) | st.integers(0, 120).map(lambda n: f"{n}%"),
    },
).filter(bool)


def keeps_to(point: Point, points: list[Point], limits: dict[str, object], *, higher: bool) -> bool:
    """The limits once more, in plain words and whole numbers: scores are twentieths."""
    twentieths = {id(one): round(one.score * 20) * (1 if higher else -1) for one in points}
    full = next(one for one in points if one.width == 1.0)
    loss = twentieths[id(full)] - twentieths[id(point)]
    for name, limit in limits.items():
        if name in COSTS and getattr(point, COSTS[name]) > limit:
            return False
        if name == "min_score" and twentieths[id(point)] < round(limit * 20) * (1 if higher else -1):
            return False
        if name == "max_drop" and isinstance(limit, str) and 100 * loss > int(limit[:-1]) * abs(twentieths[id(full)]):
            return False
        if name == "max_drop" and not isinstance(limit, str) and loss > round(limit * 20):
            return False
    return True


@given(points=curves_of(), limits=budgets, higher=st.booleans())
def test_the_pick_keeps_to_every_limit_and_none_that_does_is_better(
    points: list[Point], limits: dict[str, object], higher: bool
) -> None:
    admissible = [point for point in points if keeps_to(point, points, limits, higher=higher)]
    if not admissible:
        with pytest.raises(NoPointError):
            choose(points, higher_is_better=higher, **limits)
        return
    picked = choose(points, higher_is_better=higher, **limits)

    assert picked in admissible
    if any(name in COSTS for name in limits):
        best = max(point.score if higher else -point.score for point in admissible)
        assert (picked.score if higher else -picked.score) == best
        assert picked.params == min(point.params for point in admissible if point.score == picked.score)
    else:
        assert picked.params == min(point.params for point in admissible)


@given(points=curves_of(), name=st.sampled_from(list(COSTS)), budget=st.integers(1, 30), more=st.integers(0, 30))
def test_a_larger_budget_never_has_a_worse_score(points: list[Point], name: str, budget: int, more: int) -> None:
    assume(any(getattr(point, COSTS[name]) <= budget for point in points))

    assert choose(points, **{name: budget + more}).score >= choose(points, **{name: budget}).score


@given(points=curves_of(), drop=st.floats(0, 1), more=st.floats(0, 1))
def test_a_larger_drop_never_costs_more_parameters(points: list[Point], drop: float, more: float) -> None:
    assert choose(points, max_drop=drop + more).params <= choose(points, max_drop=drop).params


@given(points=curves_of(), limits=budgets, higher=st.booleans())
def test_what_a_refusal_asks_for_has_the_point_that_it_names(
    points: list[Point], limits: dict[str, object], higher: bool
) -> None:
    assume(not any(keeps_to(point, points, limits, higher=higher) for point in points))
    message = message_of(points, higher_is_better=higher, **limits)

    asked = dict(re.findall(r'(\w+)="?([-0-9.]+%?)', message.split("; ask for ")[1]))
    numbers = {name: text if "%" in text else float(text) for name, text in asked.items()}
    picked = choose(points, higher_is_better=higher, **{**limits, **numbers})
    nearest = next(point for point in points if f"the nearest is width {point.label} with" in message)
    assert keeps_to(
        nearest, points, {name: limit for name, limit in limits.items() if name not in asked}, higher=higher
    )
    assert (
        picked.score * (1 if higher else -1) >= nearest.score * (1 if higher else -1) or picked.params <= nearest.params
    )


@given(score=st.floats(1e-6, 1e6), latency_ms=st.floats(1e-6, 1e6), higher=st.booleans())
def test_the_number_that_a_refusal_asks_for_is_enough_whatever_its_digits(
    score: float, latency_ms: float, higher: bool
) -> None:
    points = [make_point(0.5, score, 10, latency_ms=latency_ms)]
    by_score = message_of(points, higher_is_better=higher, min_score=score * (2 if higher else 0.5))
    by_latency = message_of(points, max_latency_ms=latency_ms / 2)

    assert choose(points, higher_is_better=higher, min_score=number_after("min_score=", by_score)) is points[0]
    assert choose(points, max_latency_ms=number_after("max_latency_ms=", by_latency)) is points[0]


@given(score=st.floats(0.1, 0.9), full=st.floats(0.91, 1.0), is_relative=st.booleans())
def test_the_drop_that_a_refusal_asks_for_is_enough_whatever_its_digits(
    score: float, full: float, is_relative: bool
) -> None:
    points = [make_point(0.5, score, 10), make_point(1.0, full, 10**9)]
    drop = (full - score) / 2
    message = message_of(points, max_params=10, max_drop=f"{100 * drop / full}%" if is_relative else drop)
    asked = number_after("max_drop=", message)

    assert choose(points, max_params=10, max_drop=f"{asked}%" if is_relative else asked) is points[0]


def number_after(words: str, message: str) -> float:
    found = re.search(rf'; ask for {words}"?([0-9.]+)', message)
    assert found is not None
    return float(found[1])
