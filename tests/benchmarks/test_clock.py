import gc
import time

import pytest

from benchmarks.speed.clock import find_even_mean, find_paired_ratio, find_ratio, summarize, take_turns


def test_pieces_of_work_take_turns_and_each_begins_as_often() -> None:
    order: list[str] = []
    works = {"a": lambda: order.append("a"), "b": lambda: order.append("b")}
    times = take_turns(works, turns=3, runs=2, warmup=1)
    assert "".join(order) == "ab" + "aabb" + "bbaa" + "aabb"
    assert {name: (len(found.wall_ns), len(found.cpu_ns)) for name, found in times.items()} == {
        "a": (6, 6),
        "b": (6, 6),
    }


def test_what_prepares_a_run_comes_before_it_and_off_the_clock() -> None:
    order: list[str] = []
    works = {"a": lambda: order.append("a"), "b": lambda: order.append("b")}

    def prepare() -> None:
        order.append("p")
        time.sleep(0.02)

    times = take_turns(works, turns=2, runs=1, warmup=1, prepare={"a": prepare})
    assert "".join(order) == "pab" + "pab" + "bpa"
    assert max(times["a"].wall_ns) < 20_000_000


def test_sleep_counts_on_the_wall_and_not_for_the_processor() -> None:
    times = take_turns({"sleep": lambda: time.sleep(0.02)}, turns=1, runs=3, warmup=0)["sleep"]
    assert min(times.wall_ns) >= 20_000_000
    assert 0 <= sum(times.cpu_ns) < 0.5 * sum(times.wall_ns)


def test_the_collector_is_off_meanwhile_and_on_again_after_an_error() -> None:
    seen: list[bool] = []

    def fail() -> None:
        seen.append(gc.isenabled())
        raise ValueError("stop")

    assert gc.isenabled()
    with pytest.raises(ValueError, match="stop"):
        take_turns({"fail": fail}, turns=1, runs=1, warmup=0)
    assert seen == [False]
    assert gc.isenabled()


def test_a_summary_is_in_milliseconds() -> None:
    assert summarize([i * 1_000_000 for i in (4, 1, 3, 2, 10)]) == {
        "median_ms": 3.0,
        "low_ms": 1.4,
        "high_ms": 7.6,
        "mean_ms": 4.0,
    }


def test_a_ratio_is_that_of_medians() -> None:
    assert find_ratio([1, 2, 900], [3, 3, 3]) == 0.6667


def test_an_even_mean_is_that_of_the_medians_of_each_kind() -> None:
    rounds = [[1, 10], [2, 30], [900, 20]]
    assert find_even_mean([i * 1_000_000 for each in rounds for i in each], 2) == (2 + 20) / 2


def test_a_paired_ratio_is_that_within_turns() -> None:
    # The machine is ten times slower in the second turn, and in one run of the third.
    assert find_paired_ratio([3, 3, 3, 30, 30, 30, 3, 3, 90], [2, 2, 2, 20, 20, 20, 2, 2, 2], 3) == 1.5
