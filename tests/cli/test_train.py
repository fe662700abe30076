import json
from pathlib import Path

import pytest

from tests.cli.conftest import Invoke, error_line
from widthwise.cli.train import _describe_narrowest
from widthwise.training import Run
from widthwise.training.session import Batch, Session


def test_a_recipe_is_trained_into_a_run_and_the_next_step_is_told(
    invoke: Invoke, recipe_file: Path, tmp_path: Path
) -> None:
    result = invoke("train", recipe_file, "--out", tmp_path / "run")
    assert result.exit_code == 0
    assert Run.open(tmp_path / "run").state.status == "finished"
    assert "tiny: 4 epochs in " in result.stdout
    assert "at the narrowest width (fc1 8, fc2 8): " in result.stdout
    assert f"next: widthwise curve {tmp_path / 'run'}" in result.stdout
    assert result.stderr == ""


def test_the_run_goes_into_runs_by_default(
    invoke: Invoke, recipe_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert invoke("train", recipe_file, "--smoke").exit_code == 0
    assert Run.open(tmp_path / "runs" / "tiny").state.epochs == 1


def test_set_and_method_reach_the_recipe(invoke: Invoke, recipe_file: Path, tmp_path: Path) -> None:
    words = ("--set", "epochs=2", "--set", "training.seed=3", "--method", "plain")
    result = invoke("train", recipe_file, "--out", tmp_path / "run", *words)
    assert result.exit_code == 0
    training = Run.open(tmp_path / "run").recipe.training
    assert (training.epochs, training.seed, training.method) == (2, 3, "plain")
    assert "narrowest" not in result.stdout


def test_json_holds_state_and_metrics(invoke: Invoke, recipe_file: Path, tmp_path: Path) -> None:
    content = json.loads(invoke("train", recipe_file, "--out", tmp_path / "run", "--json").stdout)
    assert content["status"] == "finished"
    assert content["widths_trained"]["lowest"] == {"fc1": 8, "fc2": 8}
    assert [line["epoch"] for line in content["metrics"]] == [1, 2, 3, 4]


def test_a_finished_run_is_told_and_left_alone(invoke: Invoke, recipe_file: Path, run_copy: Path) -> None:
    before = (run_copy / "run.json").stat().st_mtime_ns
    result = invoke("train", recipe_file, "--out", run_copy)
    assert result.exit_code == 0
    assert result.stderr == (
        f"widthwise: note: {run_copy} is finished already and stays as it is; --overwrite trains it anew\n"
    )
    assert (run_copy / "run.json").stat().st_mtime_ns == before


def test_damaged_weights_of_a_finished_run_are_restored_with_a_note(
    invoke: Invoke, recipe_file: Path, run_copy: Path
) -> None:
    weights = run_copy / "model.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    curve = invoke("curve", run_copy)
    assert curve.exit_code == 1
    assert error_line(curve).startswith(f"expected {weights} with sha256 ")
    result = invoke("train", recipe_file, "--out", run_copy)
    assert result.exit_code == 0
    assert result.stderr.startswith(f"widthwise: note: expected {weights} with sha256 ")
    assert result.stderr.endswith("...; restored from the checkpoint of epoch 4\n")
    assert weights.read_bytes() == content


def test_overwrite_trains_anew(invoke: Invoke, recipe_file: Path, run_copy: Path) -> None:
    result = invoke("train", recipe_file, "--out", run_copy, "--overwrite", "--set", "epochs=1")
    assert result.exit_code == 0
    assert result.stderr == ""
    assert Run.open(run_copy).state.epochs == 1


def test_an_interrupt_exits_130_and_the_same_command_continues_unless_the_checkpoint_is_damaged(
    invoke: Invoke, recipe_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Session.step

    def interrupt(session: Session, batch: Batch) -> float:
        if batch.epoch == 3:
            raise KeyboardInterrupt
        return original(session, batch)

    monkeypatch.setattr(Session, "step", interrupt)
    result = invoke("train", recipe_file, "--out", tmp_path / "run")
    assert result.exit_code == 130
    assert error_line(result) == "interrupted after epoch 2 of 4; the same command continues"
    monkeypatch.setattr(Session, "step", original)
    weights = tmp_path / "run" / "checkpoint" / "epoch-00002" / "weights.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(content[:-1])
    result = invoke("train", recipe_file, "--out", tmp_path / "run")
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1] == (
        f"widthwise: checkpoint: expected {weights} as it was written, got a missing or damaged file; "
        "restore the file, or train again with --overwrite"
    )
    weights.write_bytes(content)
    result = invoke("train", recipe_file, "--out", tmp_path / "run")
    assert result.exit_code == 0
    assert result.stderr == f"widthwise: note: continuing {tmp_path / 'run'} after epoch 2 of 4\n"


def test_an_interrupt_before_there_is_a_run_exits_130(
    invoke: Invoke, recipe_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Session, "start", interrupt)
    result = invoke("train", recipe_file, "--out", tmp_path / "run")
    assert result.exit_code == 130
    assert error_line(result) == "interrupted"


def test_a_loss_that_is_not_finite_exits_1(invoke: Invoke, recipe_file: Path, tmp_path: Path) -> None:
    words = ("--set", "learning_rate=1e38", "--set", "optimizer=sgd", "--set", "schedule=constant")
    result = invoke("train", recipe_file, "--out", tmp_path / "run", *words)
    assert result.exit_code == 1
    assert error_line(result).startswith("expected a finite loss, got ")
    assert Run.open(tmp_path / "run").state.status == "failed"


def test_another_recipe_in_the_same_run_exits_2(invoke: Invoke, recipe_file: Path, run_copy: Path) -> None:
    result = invoke("train", recipe_file, "--out", run_copy, "--set", "seed=5")
    assert result.exit_code == 2
    assert error_line(result) == (
        f"expected a run of this recipe in {run_copy}, got one with another training.seed (0 there, 5 here); "
        "give another --out, or --overwrite to train anew"
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("mnist-mpl",), "got 'mnist-mpl'; did you mean 'mnist-mlp'"),
        (("digits-mlp", "--set", "epoch=1"), "got 'epoch'; did you mean 'epochs'?"),
        (
            ("digits-mlp", "--set", "epochs"),
            "expected key=value, such as training.epochs=3, got 'epochs'; add the = and",
        ),
        (("digits-mlp", "--set", "epochs=0"), "expected training.epochs to be greater than or equal to 1, got 0"),
        (("digits-mlp", "--set", "model.name=mlpp"), "mlpp"),
        (("digits-mlp", "--set", "model.settings.size=3"), "size"),
        (("digits-mlp", "--method", "magic"), "magic"),
        ((), "Missing argument 'RECIPE'; see widthwise train --help"),
    ],
)
def test_bad_usage_exits_2_in_one_line(invoke: Invoke, tmp_path: Path, words: tuple[str, ...], message: str) -> None:
    result = invoke("train", *words, "--out", tmp_path / "run")
    assert result.exit_code == 2
    assert message in error_line(result)
    assert not (tmp_path / "run").exists()


def test_a_recipe_file_with_an_unknown_key_exits_2(invoke: Invoke, recipe_file: Path, tmp_path: Path) -> None:
    recipe_file.write_text(recipe_file.read_text() + "lowset = 0.5\n")
    result = invoke("train", recipe_file, "--out", tmp_path / "run")
    assert result.exit_code == 2
    assert error_line(result).endswith("in [elastic], got 'lowset'; did you mean 'lowest'?")


def test_an_output_that_cannot_be_written_exits_1(invoke: Invoke, recipe_file: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    result = invoke("train", recipe_file, "--out", tmp_path / "file" / "run")
    assert result.exit_code == 1
    assert error_line(result).startswith("expected to be able to write to the folder ")


@pytest.mark.parametrize(
    ("lowest", "words"),
    [
        ({"a": 1, "b": 8, "c": 2}, "a 1, c 2"),
        (dict.fromkeys("abcdef", 1), "a 1, b 1, c 1, d 1 and 2 more"),
    ],
)
def test_of_many_groups_the_first_that_shrink_are_named(lowest: dict[str, int], words: str) -> None:
    assert _describe_narrowest({"lowest": lowest, "full": dict.fromkeys(lowest, 8)}) == words


def test_missing_data_exits_1(invoke: Invoke, tmp_path: Path) -> None:
    result = invoke("train", "mnist-mlp", "--data", tmp_path, "--out", tmp_path / "run")
    assert result.exit_code == 1
    assert "train-images-idx3-ubyte.gz" in error_line(result)
    assert not (tmp_path / "run").exists()
