import json
import shutil
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from tests.conftest import RandomStateCheck
from tests.training.conftest import TINY, make_splits
from widthwise._shared import RecipeError, RunError, TrainingError
from widthwise.training import Recipe, Run, network, parse_recipe, train
from widthwise.training import run as run_module
from widthwise.training.checkpoint import read_weights
from widthwise.training.session import Batch, Session

StepHook = Callable[[Session, Batch], None]


def weights_of(run: Run) -> dict[str, Tensor]:
    elastic = run.path / "elastic.safetensors"
    return read_weights(run.path / "model.safetensors") | (read_weights(elastic) if elastic.exists() else {})


def assert_same_weights(one: Run, other: Run) -> None:
    expected = weights_of(other)
    found = weights_of(one)
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def metrics_of(run: Run) -> list[dict[str, object]]:
    return [{key: value for key, value in line.items() if key != "seconds"} for line in run.read_metrics()]


@contextmanager
def before_step(epoch: int, step: int, hook: StepHook) -> Generator[None]:
    """Call `hook` before one step of training."""
    original = Session.step

    def replaced(session: Session, batch: Batch) -> float:
        if (batch.epoch, batch.step) == (epoch, step):
            hook(session, batch)
        return original(session, batch)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Session, "step", replaced)
        yield


def interrupt(session: Session, batch: Batch) -> None:
    raise KeyboardInterrupt


def poison(session: Session, batch: Batch) -> None:
    with torch.no_grad():
        next(iter(session.model.net.parameters())).fill_(torch.nan)


def make_dropout_net(name: str, *, generator: torch.Generator, **settings: object) -> nn.Module:
    net = nn.Sequential(nn.Flatten(), nn.Linear(4, 16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 3))
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.uniform_(-0.5, 0.5, generator=generator)
    return net


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The tiny recipe trained in one go, for reading only."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(network, "load_data", lambda *_: make_splits())
        return train(parse_recipe(TINY), tmp_path_factory.mktemp("whole") / "runs" / "tiny")


@pytest.fixture(scope="module")
def _stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("stopped") / "run"
    with pytest.MonkeyPatch.context() as patch, before_step(3, 1, interrupt):
        patch.setattr(network, "load_data", lambda *_: make_splits())
        with pytest.raises(KeyboardInterrupt):
            train(parse_recipe(TINY), path)
    return path


@pytest.fixture
def stopped(_stopped: Path, tmp_path: Path) -> Path:
    """A copy of the tiny recipe's run, interrupted after two epochs."""
    shutil.copytree(_stopped, tmp_path / "stopped")
    return tmp_path / "stopped"


def test_training_learns_and_writes_a_run(whole: Run) -> None:
    names = sorted(path.name for path in whole.path.iterdir())
    assert names == [
        "checkpoint",
        "elastic.safetensors",
        "environment.json",
        "metrics.jsonl",
        "model.safetensors",
        "recipe.toml",
        "run.json",
    ]
    assert whole.state.status == "finished"
    assert whole.state.finished_epochs == 4
    lines = (whole.path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == [1, 2, 3, 4]
    last = whole.read_metrics()[-1]
    assert float(str(last["accuracy"])) > 0.9
    assert float(str(last["accuracy_lowest"])) > 0.5
    scores = {"accuracy", "cross_entropy", "accuracy_lowest", "cross_entropy_lowest"}
    assert set(last) == {"epoch", "loss", *scores, "learning_rate", "seconds"}


def test_the_bar_tells_the_losses_at_full_and_at_narrowest_width(
    tiny: Recipe, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    last = train(parse_recipe(TINY, overrides=["epochs=2"]), tmp_path, progress=True).read_metrics()[-1]
    words = [
        f"{width} {float(str(last[f'accuracy{end}'])):.1%} loss {float(str(last[f'cross_entropy{end}'])):.3f}"
        for width, end in (("full", ""), ("narrowest", "_lowest"))
    ]
    assert f"epoch 2/2: {words[0]}, {words[1]}" in capsys.readouterr().err


def test_the_state_tells_widths_and_cost(whole: Run) -> None:
    full, lowest = whole.state.widths_trained["full"], whole.state.widths_trained["lowest"]
    assert set(full.values()) == {32}
    assert set(lowest.values()) == {8}
    assert whole.state.training_cost_epochs is not None
    assert 0 < whole.state.training_cost_epochs < 4


def test_method_plain_trains_the_bare_network_at_full_width(tiny: Recipe, tmp_path: Path) -> None:
    plain = parse_recipe(TINY, overrides=["method=plain"])
    state = train(plain, tmp_path / "a").state
    assert state.widths_trained["lowest"] == state.widths_trained["full"]
    assert state.training_cost_epochs == 4
    last = Run.open(tmp_path / "a").read_metrics()[-1]
    assert "accuracy_lowest" not in last
    assert float(str(last["accuracy"])) > 0.9


@pytest.mark.slow
def test_the_same_seed_gives_bit_equal_weights_whatever_the_global_one_and_another_does_not(
    tiny: Recipe, whole: Run, tmp_path: Path, untouched_random_state: RandomStateCheck
) -> None:
    torch.manual_seed(7)
    with untouched_random_state():
        again = train(tiny, tmp_path / "a")
    assert_same_weights(again, whole)
    assert metrics_of(again) == metrics_of(whole)
    other = train(parse_recipe(TINY, overrides=["seed=1"]), tmp_path / "b")
    assert not torch.equal(weights_of(other)["fc1.weight"], weights_of(whole)["fc1.weight"])


def test_an_interrupted_training_goes_on_to_bit_equal_weights(tiny: Recipe, whole: Run, stopped: Path) -> None:
    between = Run.open(stopped)
    assert (between.state.status, between.state.finished_epochs) == ("interrupted", 2)
    found = train(tiny, stopped)
    assert_same_weights(found, whole)
    assert metrics_of(found) == metrics_of(whole)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("overrides", "epoch", "step"),
    [
        (["optimizer=sgd", "schedule=cosine", "momentum=0.8", "weight_decay=1e-3", "grad_clip=1.0"], 3, 2),
        (["schedule=constant", "law=paper", "elastic.p=0.7", "elastic.unit_affine=true"], 4, 5),
        (["method=plain"], 2, 1),
        (["precision=bfloat16", "grad_clip=1.0"], 3, 3),
        (["accumulate=2", "batch_size=24"], 3, 2),
        (["optimizer=adamw", "schedule=cosine", "warmup=0.2", "weight_decay=0.05"], 3, 1),
        (["compile=true", "widths=2", "between=0"], 2, 1),
        (["optimizer=adamw", "weight_decay=0.5", "decay_by_use=true", "rate_by_use=0.5", "law=octaves"], 3, 2),
    ],
)
def test_a_resumed_training_is_bit_equal_to_one_that_never_stopped(
    tiny: Recipe, tmp_path: Path, overrides: list[str], epoch: int, step: int
) -> None:
    recipe = parse_recipe(TINY, overrides=overrides)
    expected = train(recipe, tmp_path / "whole")
    with before_step(epoch, step, interrupt), pytest.raises(KeyboardInterrupt):
        train(recipe, tmp_path / "parts")
    between = Run.open(tmp_path / "parts")
    assert (between.state.status, between.state.finished_epochs) == ("interrupted", epoch - 1)
    found = train(recipe, tmp_path / "parts")
    assert_same_weights(found, expected)
    assert metrics_of(found) == metrics_of(expected)


@pytest.mark.slow
def test_a_network_with_dropout_of_its_own_resumes_bit_equal(
    tiny: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network, "build_model", make_dropout_net)
    expected = train(tiny, tmp_path / "whole")
    with before_step(3, 2, interrupt), pytest.raises(KeyboardInterrupt):
        train(tiny, tmp_path / "parts")
    torch.manual_seed(7)
    assert_same_weights(train(tiny, tmp_path / "parts"), expected)


@pytest.mark.slow
@pytest.mark.parametrize("function", ["save_checkpoint", "drop_checkpoints"])
def test_a_crash_while_an_epoch_is_written_loses_nothing_and_doubles_nothing(
    tiny: Recipe, whole: Run, tmp_path: Path, function: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = getattr(run_module, function)
    calls: list[int] = []

    def crash(*args: object, **kwargs: object) -> object:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return original(*args, **kwargs)

    monkeypatch.setattr(run_module, function, crash)
    with pytest.raises(KeyboardInterrupt):
        train(tiny, tmp_path / "parts")
    monkeypatch.setattr(run_module, function, original)
    found = train(tiny, tmp_path / "parts")
    assert_same_weights(found, whole)
    assert metrics_of(found) == metrics_of(whole)


def test_a_finished_run_is_not_trained_again(tiny: Recipe, whole: Run) -> None:
    before = {path: path.stat().st_mtime_ns for path in whole.path.rglob("*")}
    with before_step(1, 1, interrupt):
        assert train(tiny, whole.path).state.status == "finished"
    assert {path: path.stat().st_mtime_ns for path in whole.path.rglob("*")} == before


def test_overwrite_trains_anew_and_removes_what_belonged_to_the_old_run(
    tiny: Recipe, whole: Run, stopped: Path
) -> None:
    for name in ("curve.json", "mine.txt"):
        (stopped / name).write_text("old")
    (stopped / "run.json").write_text("{")
    run = train(tiny, stopped, overwrite=True)
    assert_same_weights(run, whole)
    assert metrics_of(run) == metrics_of(whole)
    assert not (stopped / "curve.json").exists()
    assert (stopped / "mine.txt").read_text() == "old"


def test_another_recipe_in_the_same_run_is_an_error(tiny: Recipe, whole: Run) -> None:
    with pytest.raises(RecipeError) as caught:
        train(parse_recipe(TINY, overrides=["learning_rate=0.1"]), whole.path)
    assert str(caught.value) == (
        f"expected a run of this recipe in {whole.path}, got one with another training.learning_rate "
        "(0.05 there, 0.1 here); give another --out, or --overwrite to train anew"
    )


def test_a_folder_with_other_things_in_it_is_left_alone(tiny: Recipe, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    for overwrite in (False, True):
        with pytest.raises(
            RunError, match=r"expected a run directory or a new folder, got .* with other files in it; give"
        ):
            train(tiny, tmp_path, overwrite=overwrite)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_an_output_that_cannot_be_written_is_one_line(tiny: Recipe, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(
        RunError, match=r"expected to be able to write to the folder .*, got: Not a directory; give another"
    ):
        train(tiny, tmp_path / "file" / "run")
    assert (tmp_path / "file").read_text() == "mine"


def test_smoke_is_one_epoch(tiny: Recipe, tmp_path: Path) -> None:
    run = train(tiny, tmp_path / "a", smoke=True)
    assert run.state.epochs == 1
    assert run.recipe.data.limit is not None
    with pytest.raises(RecipeError, match=r"another data\.limit \(256 there, None here\)"):
        train(tiny, tmp_path / "a")


def test_a_loss_that_is_not_finite_keeps_the_last_checkpoint(tiny: Recipe, whole: Run, tmp_path: Path) -> None:
    with before_step(3, 2, poison), pytest.raises(TrainingError) as caught:
        train(tiny, tmp_path / "a")
    message = str(caught.value)
    assert message.startswith("expected a finite loss, got nan at epoch 3, step 2, at every width (learning rate 0.0")
    assert message.endswith(
        "); lower training.learning_rate or set training.grad_clip; "
        f"the checkpoint of epoch 2 is kept in {tmp_path / 'a'}"
    )
    state = Run.open(tmp_path / "a").state
    assert (state.status, state.finished_epochs) == ("failed", 2)
    assert_same_weights(train(tiny, tmp_path / "a"), whole)


def test_a_loss_that_is_not_finite_at_once_leaves_no_checkpoint(tiny: Recipe, tmp_path: Path) -> None:
    recipe = parse_recipe(TINY, overrides=["learning_rate=1e38", "optimizer=sgd", "schedule=constant"])
    with pytest.raises(
        TrainingError,
        match=r"expected a finite loss, got (nan|inf) at epoch 1, step 2, at every width .*; no epoch was",
    ):
        train(recipe, tmp_path / "a")


def test_a_damaged_checkpoint_is_one_line_and_nothing_is_lost(tiny: Recipe, stopped: Path) -> None:
    weights = stopped / "checkpoint" / "epoch-00002" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    before = {path: path.read_bytes() for path in stopped.rglob("*") if path.is_file()}
    with pytest.raises(
        RunError, match=r"got a missing or damaged file; restore the file, or train again with --overwrite"
    ):
        train(tiny, stopped)
    assert {path: path.read_bytes() for path in stopped.rglob("*") if path.is_file()} == before


def test_a_checkpoint_of_another_network_is_one_line(tiny: Recipe, stopped: Path) -> None:
    path = stopped / "recipe.toml"
    path.write_text(path.read_text().replace("[4, 32, 32, 3]", "[4, 32, 8, 3]"))
    with pytest.raises(
        RunError, match=r"checkpoint: expected the state of a training of recipe tiny, got another \(.*\); "
    ):
        train(parse_recipe(TINY, overrides=["sizes=[4, 32, 8, 3]"]), stopped)


def test_the_data_folder_is_remembered_as_an_absolute_path(
    tiny: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    splits = network.load_data("clouds")
    seen: list[Path | None] = []

    def load_data(name: str, folder: Path | None = None) -> object:
        seen.append(folder)
        return splits

    monkeypatch.setattr(network, "load_data", load_data)
    monkeypatch.chdir(tmp_path)
    run = train(tiny, "a", data_folder="data", smoke=True)
    assert run.state.data_folder == str(tmp_path / "data")
    run.load_data()
    run.load_data(tmp_path / "other")
    assert seen == [tmp_path / "data", tmp_path / "data", tmp_path / "other"]
