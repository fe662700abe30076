from collections.abc import Callable
from typing import Any

from tests.curves.choices import make_point
from tests.curves.searchable import counted, make_searchable, worth
from widthwise.curves import Point
from widthwise.curves.groupwise.lattice import make_lattice
from widthwise.curves.groupwise.ledger import Ledger
from widthwise.curves.groupwise.scout import Scout
from widthwise.curves.groupwise.tryout import Tryout
from widthwise.curves.resume import Header

Calls = list[tuple[int, int]]


def make_scout(calls: Calls, told: list[str], *, higher_is_better: bool = True, **changes: Any) -> tuple[Scout, Ledger]:
    model = make_searchable()
    lattice = make_lattice(model, 1 / 8)
    header = Header(
        name="score",
        higher_is_better=higher_is_better,
        fingerprint=None,
        is_calibrated=False,
        environment={},
        directions={},
    )
    ledger = changes.pop("ledger", None) or Ledger(header=header, groups=lattice.groups, num_samples=None)
    settings: dict[str, Any] = {
        "tryout": Tryout(model=model, name="score", evaluate=counted(worth, calls), calibrate=None),
        "measure": _measure,
        "is_finished": lambda _point: True,
        "is_timing": False,
        "tell": told.append,
    }
    return Scout(lattice=lattice, ledger=ledger, **{**settings, **changes}), ledger


def _measure(width: Any, _latency: bool) -> Point:
    units = width if isinstance(width, dict) else {"fc1": int(32 * width), "fc2": int(16 * width)}
    return Point(width=None if isinstance(width, dict) else width, widths=units, score=0.25, params=3, macs=2, bytes=1)


def test_a_network_is_scored_once_and_told() -> None:
    calls, told = Calls(), list[str]()
    scout, ledger = make_scout(calls, told)
    assert scout.goodness((16, 8)) == scout.goodness((16, 8)) == -8.0
    assert calls == [(16, 8)]
    assert told == ["score -8 at 0.5"]
    assert ledger.scores == {(16, 8): -8.0}


def test_what_the_ledger_holds_is_not_scored_but_only_what_was_asked_is_known() -> None:
    calls, told = Calls(), list[str]()
    _, ledger = make_scout(calls, told)
    ledger.scores = {(16, 8): 0.5, (4, 2): 0.75}
    scout, _ = make_scout(calls, told, ledger=ledger)
    assert scout.goodness((16, 8)) == 0.5
    assert scout.known == {(16, 8): 0.5}
    assert (calls, told) == ([], [])


def test_a_score_that_is_better_lower_changes_its_sign() -> None:
    scout, ledger = make_scout([], [], higher_is_better=False)
    assert scout.goodness((16, 8)) == 8.0
    assert ledger.scores == {(16, 8): -8.0}


def test_networks_are_counted_anew() -> None:
    scout, _ = make_scout([], [])
    scout.goodness((16, 8))
    scout.count_anew()
    scout.goodness((16, 8))
    scout.goodness((4, 2))
    assert scout.num_tried == 1


def test_points_are_measured_once_and_named_by_a_fraction_where_they_have_one() -> None:
    asked: list[object] = []

    def measure(width: Any, latency: bool) -> Point:
        asked.append(width)
        return _measure(width, latency)

    scout, _ = make_scout([], [], measure=measure)
    assert scout.measure((16, 8)) == scout.measure((16, 8))
    scout.measure((16, 2))
    assert asked == [0.5, {"fc1": 16, "fc2": 2}]


def test_a_point_that_says_too_little_is_measured_again() -> None:
    wants: Callable[[Point], bool] = lambda point: point.latency_ms is not None  # noqa: E731
    scout, ledger = make_scout([], [], is_finished=wants)
    ledger.points = {(16, 8): make_point(0.5, 0.1, 7, latency_ms=None)}  # pyright: ignore[reportArgumentType]
    assert scout.measure((16, 8)).score == 0.25


def test_points_have_the_latency_that_the_search_went_by() -> None:
    scout, ledger = make_scout([], [], is_timing=True)
    seen = scout.time((16, 8))
    point = scout.measure((16, 8))
    assert point.latency_ms == seen == scout.time((16, 8)) == ledger.latencies[16, 8][0]
    assert point.latency_range_ms == ledger.latencies[16, 8][1:3]


def test_the_latency_of_a_point_that_is_there_counts() -> None:
    scout, ledger = make_scout([], [])
    ledger.points = {(16, 8): make_point(0.5, 0.1, 7, latency_ms=1.25)}
    assert scout.time((16, 8)) == 1.25
    assert ledger.latencies == {}
