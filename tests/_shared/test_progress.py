import sys
import time
from collections.abc import Iterator

import pytest

from widthwise._shared import track
from widthwise._shared.progress import Tracker


def test_the_items_come_through_unchanged_and_in_order() -> None:
    for show in (True, False, None):
        assert list(track(range(5), "counting", show=show)) == [0, 1, 2, 3, 4]


def test_a_bar_that_is_shown_goes_to_stderr_alone(capsys: pytest.CaptureFixture[str]) -> None:
    for _ in track(range(3), "counting", show=True):
        pass
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "counting" in captured.err
    assert "3/3" in captured.err


def pretend(monkeypatch: pytest.MonkeyPatch, *, terminal: bool, seconds_per_item: float) -> None:
    now = iter(range(1000))
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    monkeypatch.setattr(time, "monotonic", lambda: next(now) * seconds_per_item)


def watch(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Record how many items were done when a bar was started."""
    started: list[int] = []
    monkeypatch.setattr(Tracker, "_start", lambda _, num_done: started.append(num_done))
    return started


def test_nothing_is_drawn_where_nobody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, terminal=False, seconds_per_item=10)
    started = watch(monkeypatch)
    for show in (False, None):
        list(track(range(3), "counting", show=show))
    assert started == []


def test_short_work_on_a_terminal_draws_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, terminal=True, seconds_per_item=0.01)
    started = watch(monkeypatch)
    list(track(range(5), "counting"))
    assert started == []


def test_long_work_on_a_terminal_draws_once_a_second_has_passed(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, terminal=True, seconds_per_item=0.5)
    started = watch(monkeypatch)
    list(track(range(2), "counting"))
    # `watch` draws no bar, so each later item would ask for one again; two items ask once.
    assert started == [1]


def test_a_generator_is_consumed_as_it_comes() -> None:
    produced: list[int] = []

    def produce() -> Iterator[int]:
        for number in range(3):
            produced.append(number)
            yield number

    tracked = iter(track(produce(), "counting", total=3, show=True))
    assert next(tracked) == 0
    assert produced == [0]


def test_a_note_stands_below_the_bar_and_leaves_it_its_room(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    tracker = track(range(2), "training", show=True)
    tracker.note("before the first")
    list(tracker)
    assert "before the first" in capsys.readouterr().err
    for number in tracker:
        tracker.note(f"full {number} %")
    bar, note = capsys.readouterr().err.splitlines()
    assert bar.startswith("training ━")
    assert "2/2" in bar
    assert note == "full 1 %"


def test_the_bar_is_taken_down_where_the_work_fails(capsys: pytest.CaptureFixture[str]) -> None:
    tracker = track(range(3), "counting", show=True)
    with pytest.raises(KeyError):  # noqa: PT012
        for number in tracker:
            raise KeyError(number)
    # A second bar could not be drawn over a first that is still up.
    assert list(tracker) == [0, 1, 2]
    assert "counting" in capsys.readouterr().err
