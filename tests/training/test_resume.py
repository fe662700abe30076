"""A training that was stopped by force goes on to the weights of one that never stopped."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import pytest
import torch
from torch import Tensor, nn

from tests.training.conftest import TINY, make_splits
from widthwise._shared import RunError
from widthwise.training import Recipe, Run, checkpoint, loop, network, parse_recipe, train
from widthwise.training.checkpoint import Checkpoint, read_weights
from widthwise.training.session import Batch
from widthwise.zoo import DataSplits

# Every way in which training changes the disk, each of them one step of the file system.
_STEPS = ("mkdir", "rename", "replace", "unlink", "rmdir")

# Trains in a process of its own, and says so at the second step of the third epoch; there it waits for a signal.
_CHILD = """
import sys, time
from tests.training.conftest import TINY, make_splits
from widthwise.training import network, parse_recipe, train
from widthwise.training.session import Session

network.load_data = lambda *_: make_splits()
original = Session.step

def step(session, batch):
    if (batch.epoch, batch.step) == (3, 2):
        print("ready", flush=True)
        time.sleep(60)
    return original(session, batch)

Session.step = step
train(parse_recipe(TINY), sys.argv[1])
"""


class Counter(nn.Module):
    """A model of two numbers, so that hundreds of trainings take a second."""

    def __init__(self) -> None:
        super().__init__()
        self.total = nn.Buffer(torch.zeros(1))
        self.gains = torch.zeros(1)

    def widths(self, _: float) -> dict[str, int]:
        return {"fc": 1}

    def elastic_state(self) -> dict[str, Tensor]:
        return {"gains": self.gains}


class CountingSession:
    """A training whose result depends on every step of it and on their order."""

    steps_per_epoch = 3
    learning_rate = 0.1

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self.model = Counter()

    @classmethod
    def start(cls, recipe: Recipe, _: DataSplits) -> "CountingSession":
        return cls(recipe)

    def batches(self, finished_epochs: int) -> Iterator[Batch]:
        for epoch in range(finished_epochs + 1, self.recipe.training.epochs + 1):
            for step in (1, 2, 3):
                yield Batch(indices=torch.tensor([step]), epoch=epoch, step=step, is_last=step == 3)

    def step(self, batch: Batch) -> float:
        self.model.total.mul_(1.5).add_(batch.epoch + batch.step)
        self.model.gains.sub_(self.model.total)
        return 1.0

    def validate(self) -> dict[str, float]:
        return {"accuracy": 0.5}

    def judge(self, epoch: int, scores: Mapping[str, float]) -> None:
        assert epoch <= self.recipe.training.epochs
        assert scores == {"accuracy": 0.5}

    def settle(self) -> int | None:
        return None

    def capture(self) -> Checkpoint:
        return Checkpoint(weights=self.model.state_dict(), state={"elastic": self.model.elastic_state()})

    def restore(self, checkpoint: Checkpoint) -> None:
        self.model.total.copy_(checkpoint.weights["total"])
        self.model.gains.copy_(cast("dict[str, Tensor]", checkpoint.state["elastic"])["gains"])


class Killed(BaseException):
    """Ends the process of a test: nothing catches it, and nothing reaches the disk any more."""


def assert_same_files(one: Run, other: Run) -> None:
    names = {path.name for path in other.path.glob("*.safetensors")}
    assert {path.name for path in one.path.glob("*.safetensors") if not path.name.startswith(".")} == names
    for name in names:
        found, expected = read_weights(one.path / name), read_weights(other.path / name)
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[key], expected[key]) for key in expected)
    epochs = [line["epoch"] for line in one.read_metrics()]
    assert epochs == [line["epoch"] for line in other.read_metrics()]
    assert one.find_damage() is None


def assert_finished_is_whole(path: Path) -> None:
    """A folder that says it is finished holds all that belongs to the recipe in it."""
    run = Run.open(path) if Run.exists(path) else None
    if run is not None and run.state.status == "finished":
        assert run.find_damage() is None
        assert len(run.read_metrics()) == run.state.epochs == run.recipe.training.epochs


@contextmanager
def killed_before(number: int) -> Generator[list[str]]:
    """Kill before the change of the disk with this number (from 0); yields the changes that were wanted till then."""
    wanted: list[str] = []

    def guard(name: str, original: Callable[..., object]) -> Callable[..., object]:
        def guarded(*args: object, **kwargs: object) -> object:
            wanted.append(name)
            if len(wanted) > number:
                if name == "save_file" and len(wanted) == number + 1:
                    Path(str(args[1])).write_bytes(b"half")
                raise Killed
            return original(*args, **kwargs)

        return guarded

    with pytest.MonkeyPatch.context() as patch:
        for name in _STEPS:
            patch.setattr(os, name, guard(name, getattr(os, name)))
        patch.setattr(checkpoint, "save_file", guard("save_file", checkpoint.save_file))
        yield wanted


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The tiny recipe trained in one go, for reading only."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(network, "load_data", lambda *_: make_splits())
        return train(parse_recipe(TINY), tmp_path_factory.mktemp("whole") / "run")


@pytest.fixture
def counting(tiny: Recipe, monkeypatch: pytest.MonkeyPatch) -> Recipe:
    """The tiny recipe, whose training only counts: what is written where, and when, is that of a real one."""
    monkeypatch.setattr(loop, "Session", CountingSession)
    return parse_recipe(TINY, overrides=["method=plain", "epochs=2"])


@pytest.mark.parametrize("overwrite", [False, True])
def test_killed_before_any_change_of_the_disk_the_same_command_ends_bit_equal(
    counting: Recipe, tmp_path: Path, overwrite: bool
) -> None:
    def begin(path: Path) -> Path:
        if overwrite:
            train(parse_recipe(TINY, overrides=["method=plain", "epochs=3"]), path)
        return path

    expected = begin(tmp_path / "whole")
    with killed_before(sys.maxsize) as wanted:
        assert len(train(counting, expected, overwrite=overwrite).read_metrics()) == 2
    assert len(wanted) > 30
    for number in range(len(wanted)):
        path = begin(tmp_path / str(number))
        with killed_before(number), pytest.raises(Killed):
            train(counting, path, overwrite=overwrite)
        assert_finished_is_whole(path)
        assert_same_files(train(counting, path, overwrite=overwrite), Run.open(expected))


def test_killed_while_damaged_weights_are_restored_the_same_command_restores_them(
    counting: Recipe, tmp_path: Path
) -> None:
    whole = train(counting, tmp_path / "whole")

    def begin(name: str) -> Path:
        shutil.copytree(whole.path, tmp_path / name)
        (tmp_path / name / "model.safetensors").write_bytes(b"half")
        return tmp_path / name

    path = begin("restored")
    with killed_before(sys.maxsize) as wanted:
        assert_same_files(train(counting, path), whole)
    assert len(wanted) > 5
    for number in range(len(wanted)):
        path = begin(str(number))
        with killed_before(number), pytest.raises(Killed):
            train(counting, path)
        assert_same_files(train(counting, path), whole)


def test_a_finished_run_gets_its_damaged_weights_back_without_a_step(
    tiny: Recipe, whole: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(whole.path, tmp_path / "run")
    weights = tmp_path / "run" / "model.safetensors"
    content = weights.read_bytes()
    middle = len(content) // 2
    weights.write_bytes(content[:middle] + b"\0\0\0\0" + content[middle + 4 :])
    monkeypatch.setattr(network, "load_data", None)
    assert train(tiny, tmp_path / "run").state == whole.state
    assert weights.read_bytes() == content


def test_a_finished_run_without_weights_and_checkpoint_is_one_line(tiny: Recipe, whole: Run, tmp_path: Path) -> None:
    shutil.copytree(whole.path, tmp_path / "run")
    (tmp_path / "run" / "model.safetensors").unlink()
    shutil.rmtree(tmp_path / "run" / "checkpoint")
    with pytest.raises(
        RunError, match=r"got no such file, and no whole checkpoint to take it from; restore the file, "
    ):
        train(tiny, tmp_path / "run")
    assert train(tiny, tmp_path / "run", overwrite=True).find_damage() is None


def test_a_run_without_a_finished_epoch_is_begun_anew_with_the_data_it_had(
    counting: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Path | None] = []

    def load_data(name: str, folder: Path | None = None) -> object:
        seen.append(folder)
        return make_splits()

    monkeypatch.setattr(network, "load_data", load_data)
    with killed_before(14), pytest.raises(Killed):
        train(counting, tmp_path / "run", data_folder=tmp_path / "data")
    # As where a run of another length was being replaced: the recipe is the one of old, the state is not.
    Run.open(tmp_path / "run").advance(epochs=1)
    assert train(counting, tmp_path / "run").state.epochs == 2
    assert seen == [tmp_path / "data", tmp_path / "data"]


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")
@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, "interrupted"), (signal.SIGTERM, "running"), (signal.SIGKILL, "running")]
)
def test_a_signal_in_the_middle_of_an_epoch_loses_that_epoch_alone(
    tiny: Recipe, whole: Run, tmp_path: Path, number: signal.Signals, status: str
) -> None:
    command = [sys.executable, "-c", _CHILD, str(tmp_path / "run")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        child.send_signal(number)
        assert child.wait(timeout=30) != 0
    state = Run.open(tmp_path / "run").state
    assert (state.status, state.finished_epochs) == (status, 2)
    assert_same_files(train(tiny, tmp_path / "run"), whole)
