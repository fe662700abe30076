import pytest

from widthwise._shared import CurveError
from widthwise.curves import Limits
from widthwise.curves.groupwise.budget import Amount, limited_costs, make_budgets

NAMES = {"max_params": None, "max_macs": None, "max_bytes": None, "max_latency_ms": None, "max_memory": None}


def make(**amounts: Amount) -> tuple[Limits, ...]:
    return make_budgets(**{**NAMES, **amounts})


def test_one_number_is_one_budget() -> None:
    assert make(max_params=50_000) == (Limits(max_params=50_000),)


def test_a_row_is_a_budget_each_from_the_largest_on() -> None:
    assert make(max_macs=[100, 400, 200]) == tuple(Limits(max_macs=macs) for macs in (400, 200, 100))


def test_limits_on_several_costs_hold_together_in_each_budget() -> None:
    assert make(max_bytes=9, max_latency_ms=(0.5, 1.5)) == (
        Limits(max_bytes=9, max_latency_ms=1.5),
        Limits(max_bytes=9, max_latency_ms=0.5),
    )


def test_what_is_limited_is_told_by_the_names_of_points() -> None:
    assert limited_costs(Limits(max_params=7, max_latency_ms=0.5)) == {"params": 7, "latency_ms": 0.5}
    assert limited_costs(Limits(max_memory=9)) == {"memory_bytes": 9}


@pytest.mark.parametrize(
    ("amounts", "message"),
    [
        (
            {},
            (
                "expected a budget to search under, got none; give max_params or max_macs or max_bytes or "
                "max_latency_ms or max_memory"
            ),
        ),
        (
            {"max_params": [1, 2], "max_macs": [3]},
            (
                "expected several numbers for one limit at most, got them for max_params and max_macs; "
                "search once for each"
            ),
        ),
        ({"max_macs": []}, "expected numbers in max_macs, got an empty row; give one number or more"),
        ({"max_macs": 0}, "expected max_macs to be a positive number, got 0; give such a number"),
        ({"max_macs": [5, -1]}, "expected max_macs to be a positive number, got -1; give such a number"),
        ({"max_params": float("nan")}, "expected max_params to be a positive number, got nan; give such a number"),
        ({"max_params": "much"}, "expected max_params to be a positive number, got 'm'; give such a number"),
    ],
)
def test_a_budget_that_is_none_is_refused(amounts: dict[str, Amount], message: str) -> None:
    with pytest.raises(CurveError) as caught:
        make(**amounts)
    assert str(caught.value) == message
