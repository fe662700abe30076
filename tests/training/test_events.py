import importlib
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.training.conftest import TINY
from tests.training.test_loop import before_step, interrupt
from tests.training.test_resume import CountingSession, Killed, killed_before
from widthwise._shared import MissingExtraError, RecipeError
from widthwise.training import Recipe, Run, loop, parse_recipe, train
from widthwise.training.events import open_events

WANTED = ["training.tensorboard=true", "epochs=3"]
LINES = [{"epoch": epoch, "loss": 1 / epoch, "accuracy": 0.5, "seconds": 10.0 * epoch} for epoch in (1, 2, 3)]

Scalars = dict[str, list[tuple[int, float]]]


def read_events(folder: Path) -> Scalars:
    events = EventAccumulator(str(folder)).Reload()
    return {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def expected_events(run: Run) -> Scalars:
    lines = run.read_metrics()
    return {
        name: [(int(str(line["epoch"])), pytest.approx(float(str(line[name])), rel=1e-6)) for line in lines]
        for name in lines[0]
        if name != "epoch"
    }


def assert_all_there(run: Run) -> None:
    """Each number of each epoch stands in the events once, in order."""
    assert len(run.read_metrics()) == run.state.finished_epochs
    assert read_events(run.path / "tensorboard") == expected_events(run)


def hide_tensorboard(monkeypatch: pytest.MonkeyPatch) -> None:
    original = importlib.import_module

    def is_absent(name: str) -> ModuleType:
        if name == "tensorboard":
            raise ModuleNotFoundError("No module named 'tensorboard'", name="tensorboard")
        return original(name)

    monkeypatch.setattr(importlib, "import_module", is_absent)


@pytest.fixture
def wanted(tiny: Recipe) -> Recipe:
    return parse_recipe(TINY, overrides=WANTED)


@pytest.fixture
def counting(tiny: Recipe, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Recipe]:
    monkeypatch.setattr(loop, "Session", CountingSession)
    return lambda *more: parse_recipe(TINY, overrides=["method=plain", "epochs=3", *more])


def test_events_are_the_metrics_and_one_more_is_there_at_once(tmp_path: Path) -> None:
    with open_events(tmp_path / "events", LINES[:2], until=1000.0) as add:
        assert read_events(tmp_path / "events")["loss"] == [(1, 1.0), (2, 0.5)]
        add(LINES[2])
        found = read_events(tmp_path / "events")
    assert set(found) == {"loss", "accuracy", "seconds"}
    assert found["seconds"] == [(1, 10.0), (2, 20.0), (3, 30.0)]


def test_past_epochs_stand_at_their_own_distances_before_the_end(tmp_path: Path) -> None:
    with open_events(tmp_path, LINES, until=1000.0):
        pass
    events = EventAccumulator(str(tmp_path)).Reload().Scalars("loss")
    assert [event.wall_time for event in events] == [950.0, 970.0, 1000.0]


def test_a_run_tells_tensorboard_what_its_metrics_tell(wanted: Recipe, tmp_path: Path) -> None:
    run = train(wanted, tmp_path / "run")
    assert_all_there(run)
    assert {"loss", "accuracy", "accuracy_lowest", "learning_rate", "seconds"} <= set(
        read_events(run.path / "tensorboard")
    )


def test_without_the_setting_there_are_no_events(counting: Callable[..., Recipe], tmp_path: Path) -> None:
    assert not (train(counting(), tmp_path).path / "tensorboard").exists()


def test_a_training_that_goes_on_has_every_epoch_once(wanted: Recipe, tmp_path: Path) -> None:
    with before_step(3, 2, interrupt), pytest.raises(KeyboardInterrupt):
        train(wanted, tmp_path)
    assert_all_there(Run.open(tmp_path))
    assert_all_there(train(wanted, tmp_path))


@pytest.mark.slow
def test_killed_before_any_change_of_the_disk_the_same_command_has_every_epoch_once(
    counting: Callable[..., Recipe], tmp_path: Path
) -> None:
    recipe = counting("training.tensorboard=true", "epochs=2")
    with killed_before(sys.maxsize) as changes:
        train(recipe, tmp_path / "whole")
    for number in range(len(changes)):
        path = tmp_path / str(number)
        with killed_before(number), pytest.raises(Killed):
            train(recipe, path)
        assert_all_there(train(recipe, path))
    assert len(changes) > 20


def test_events_may_be_switched_on_and_off_in_a_run(counting: Callable[..., Recipe], tmp_path: Path) -> None:
    train(counting(), tmp_path)
    assert_all_there(train(counting("training.tensorboard=true"), tmp_path))
    shutil.rmtree(tmp_path / "tensorboard")
    train(counting(), tmp_path)
    assert not (tmp_path / "tensorboard").exists()
    with pytest.raises(RecipeError, match=r"another training\.epochs \(3 there, 4 here\)"):
        train(counting("training.tensorboard=true", "epochs=4"), tmp_path)


def test_overwrite_removes_events(counting: Callable[..., Recipe], tmp_path: Path) -> None:
    train(counting("training.tensorboard=true"), tmp_path)
    train(counting(), tmp_path, overwrite=True)
    assert not (tmp_path / "tensorboard").exists()


def test_a_missing_tensorboard_is_said_before_anything_is_touched(
    counting: Callable[..., Recipe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hide_tensorboard(monkeypatch)
    monkeypatch.setattr(loop, "Session", None)
    with pytest.raises(MissingExtraError) as caught:
        train(counting("training.tensorboard=true"), tmp_path / "run")
    assert (
        str(caught.value)
        == "training.tensorboard needs tensorboard; install it with: pip install 'widthwise[tensorboard]'"
    )
    assert not (tmp_path / "run").exists()
