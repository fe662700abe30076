import hashlib
import json
import shutil
from pathlib import Path

import pytest
import torch

from tests.training.conftest import TINY, make_splits
from widthwise._shared import RunError
from widthwise.training import Recipe, Run, RunState, network, parse_recipe, train
from widthwise.training.checkpoint import Checkpoint, write_weights


def make_state(**changes: object) -> RunState:
    state = {
        "status": "running",
        "finished_epochs": 0,
        "epochs": 4,
        "widths_trained": {"full": {"fc1": 16}, "lowest": {"fc1": 4}},
        "training_cost_epochs": 1.5,
        "training_seconds": 0.0,
        "data_folder": None,
        "checkpoint_sha256": None,
        "weights_sha256": {},
    }
    return RunState.model_validate({**state, **changes})


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def damage(path: Path, kind: str) -> None:
    """Damage a file; "flipped" changes one bit in its middle and nothing else."""
    content = path.read_bytes()
    middle = len(content) // 2
    path.unlink()
    if kind == "short":
        path.write_bytes(content[:-1])
    elif kind == "flipped":
        path.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
    elif kind == "of another run":
        write_weights(path, {"fc1.weight": torch.zeros(2)})


def make_run(path: Path, **changes: object) -> Run:
    return Run.create(path, parse_recipe(TINY), make_state(**changes))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(network, "load_data", lambda *_: make_splits())
        recipe = parse_recipe(TINY, overrides=["elastic.unit_affine=true"])
        return train(recipe, tmp_path_factory.mktemp("trained") / "run").path


def test_what_is_created_opens_equal(tmp_path: Path) -> None:
    made = make_run(tmp_path / "a" / "b")
    assert Run.open(tmp_path / "a" / "b") == made


def test_a_change_of_the_state_is_on_disk_at_once(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    changed = run.advance(status="interrupted", finished_epochs=2)
    assert (changed.state.status, changed.state.finished_epochs) == ("interrupted", 2)
    assert Run.open(tmp_path) == changed
    assert run.state.status == "running"


def test_a_kept_epoch_has_metrics_and_a_checkpoint(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    for epoch in (1, 2):
        checkpoint = Checkpoint(weights={"w": torch.full((2,), float(epoch))}, state={})
        run = run.keep(checkpoint, {"epoch": epoch, "loss": 0.5}, epoch=epoch, seconds=1.5)
    assert run.state.finished_epochs == 2
    assert run.state.training_seconds == 3.0
    assert run.read_metrics() == [{"epoch": 1, "loss": 0.5}, {"epoch": 2, "loss": 0.5}]
    assert torch.equal(run.read_checkpoint().weights["w"], torch.full((2,), 2.0))
    assert [path.name for path in (tmp_path / "checkpoint").iterdir()] == ["epoch-00002"]


def test_metrics_of_an_epoch_that_is_not_finished_are_not_there(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    (tmp_path / "metrics.jsonl").write_text('{"epoch": 1}\n{"epoch": 2}\n')
    assert run.read_metrics() == []
    assert run.advance(finished_epochs=1).read_metrics() == [{"epoch": 1}]


def test_the_environment_tells_versions_and_no_place(tmp_path: Path) -> None:
    make_run(tmp_path / "run")
    text = (tmp_path / "run" / "environment.json").read_text()
    assert json.loads(text)["torch"] == str(torch.__version__)
    assert str(tmp_path) not in text


def test_a_loaded_model_gives_the_numbers_it_was_saved_with(trained: Path) -> None:
    one, other = Run.open(trained).load_model(), Run.open(trained).load_model()
    assert not one.training
    inputs = make_splits().validation.tensors[0]
    with torch.no_grad(), one.at(0.5), other.at(0.5):
        assert torch.equal(one(inputs), other(inputs))
    assert one.elastic_state()
    assert any(tensor.abs().sum() > 0 for tensor in one.elastic_state().values())


def test_the_paths_of_what_is_made_from_a_run(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    names = [run.curve_path.name, run.plot_path.name, run.report_path.name, run.exports_path.name]
    assert names == ["curve.json", "curve.png", "report.html", "exports"]


def error_of_opening(path: Path) -> str:
    with pytest.raises(RunError) as caught:
        Run.open(path)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    ("names", "is_free"),
    [
        ((), True),
        ((".environment.0a1b2c3d.partial.json",), True),
        (("environment.json", ".recipe.0a1b2c3d.partial.toml"), True),
        (("environment.json", "recipe.toml", ".run.0a1b2c3d.partial.json"), True),
        (("recipe.toml",), False),
        (("environment.json", "recipe.toml", "notes.txt"), False),
        ((".notes",), False),
        (("model.safetensors",), False),
    ],
)
def test_a_folder_is_free_with_nothing_in_it_but_the_beginning_of_a_run(
    tmp_path: Path, names: tuple[str, ...], is_free: bool
) -> None:
    for name in names:
        (tmp_path / name).write_text("")
    assert Run.is_free(tmp_path) is is_free
    assert Run.is_free(tmp_path / "new")


def test_a_folder_without_a_run_is_one_line(tmp_path: Path) -> None:
    assert error_of_opening(tmp_path) == (
        f"expected a run directory {tmp_path} with a run.json, got none; "
        f"make one: widthwise train RECIPE --out {tmp_path}"
    )


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"status": "paused"}, "status"),
        ({"finished_epochs": -1}, "finished_epochs"),
        ({"finished_epochs": 1.5}, "finished_epochs"),
        ({"widths_trained": {"full": {"fc1": "many"}}}, "widths_trained.full.fc1"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_a_damaged_state_is_one_line(tmp_path: Path, change: dict[str, object], key: str) -> None:
    make_run(tmp_path)
    path = tmp_path / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    assert error_of_opening(tmp_path) == (
        f"expected {path} as it was written, got damaged content at '{key}'; "
        "restore the file, or train again with --overwrite"
    )


def test_a_file_that_is_no_json_and_another_schema_are_one_line(tmp_path: Path) -> None:
    make_run(tmp_path)
    path = tmp_path / "run.json"
    path.write_text(path.read_text().replace('"schema": 1', '"schema": 2'))
    assert error_of_opening(tmp_path) == f"run: expected schema 1 in {path}, got schema 2; update widthwise to read it"
    for text, got in {
        "{": "run: expected JSON in {path}, got damaged content (Expecting property name",
        "[]": "run: expected a JSON object in {path}, got list;",
        "{}": "run: expected schema 1 in {path}, got none;",
    }.items():
        path.write_text(text)
        message = error_of_opening(tmp_path)
        assert message.startswith(got.format(path=path))
        assert message.endswith("; restore the file, or train again with --overwrite")


@pytest.mark.parametrize("content", [None, "name = ", 'name = "a"\n'])
def test_a_missing_or_damaged_recipe_is_one_line(tmp_path: Path, content: str | None) -> None:
    make_run(tmp_path)
    path = tmp_path / "recipe.toml"
    path.unlink() if content is None else path.write_text(content)
    message = error_of_opening(tmp_path)
    assert message.startswith(f"expected the recipe of the run in {path}, got a missing or damaged file (")
    assert message.endswith("; restore the file, or train again with --overwrite")


@pytest.mark.parametrize("line", ["{", "[1]", '{"loss": 1}', '{"epoch": "x"}'])
def test_damaged_metrics_are_one_line(tmp_path: Path, line: str) -> None:
    run = make_run(tmp_path, finished_epochs=1)
    (tmp_path / "metrics.jsonl").write_text(line + "\n")
    with pytest.raises(
        RunError, match=r"expected one JSON object per line in .*metrics\.jsonl, got damaged content \("
    ):
        run.read_metrics()


def test_a_run_that_is_not_finished_has_no_model(tmp_path: Path) -> None:
    run = make_run(tmp_path, status="interrupted", finished_epochs=3)
    with pytest.raises(RunError) as caught:
        run.load_model()
    assert str(caught.value) == (
        f"expected a finished run in {tmp_path}, got one that is interrupted after epoch 3 of 4; "
        "continue it with the same `widthwise train` command"
    )


@pytest.mark.parametrize("name", ["model.safetensors", "elastic.safetensors"])
@pytest.mark.parametrize("kind", ["short", "flipped", "missing", "of another run"])
def test_weights_that_are_not_as_they_were_written_are_one_line(
    trained: Path, tmp_path: Path, name: str, kind: str
) -> None:
    shutil.copytree(trained, tmp_path / "run")
    path = tmp_path / "run" / name
    content = path.read_bytes()
    damage(path, kind)
    got = f"sha256 {sha256(path)[:12]}..." if path.exists() else "no such file"
    with pytest.raises(RunError) as caught:
        Run.open(tmp_path / "run").load_model()
    assert str(caught.value) == (
        f"expected {path} with sha256 {hashlib.sha256(content).hexdigest()[:12]}..., got {got}; the same "
        "`widthwise train` command restores it from the checkpoint, or with --overwrite trains again"
    )


def test_weights_without_a_recorded_checksum_are_not_trusted(trained: Path, tmp_path: Path) -> None:
    shutil.copytree(trained, tmp_path / "run")
    run = Run.open(tmp_path / "run").advance(weights_sha256={})
    path = tmp_path / "run" / "model.safetensors"
    assert run.find_damage() == f"expected {path} as it was written, got sha256 {sha256(path)[:12]}..."


@pytest.mark.parametrize("name", ["model.safetensors", "elastic.safetensors"])
def test_damaged_weights_are_restored_from_the_checkpoint(trained: Path, tmp_path: Path, name: str) -> None:
    shutil.copytree(trained, tmp_path / "run")
    run = Run.open(tmp_path / "run")
    assert run.find_damage() is None
    damage(tmp_path / "run" / name, "flipped")
    assert run.find_damage() is not None
    restored = run.restore_weights()
    assert restored == run == Run.open(tmp_path / "run")
    assert restored.find_damage() is None
    assert (tmp_path / "run" / name).read_bytes() == (trained / name).read_bytes()


def test_damaged_weights_with_a_damaged_checkpoint_are_one_line_and_nothing_is_written(
    trained: Path, tmp_path: Path
) -> None:
    shutil.copytree(trained, tmp_path / "run")
    damage(tmp_path / "run" / "model.safetensors", "missing")
    damage(tmp_path / "run" / "checkpoint" / "epoch-00004" / "state.json", "flipped")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(RunError) as caught:
        Run.open(tmp_path / "run").restore_weights()
    expected = sha256(trained / "model.safetensors")[:12]
    assert str(caught.value) == (
        f"expected {tmp_path / 'run' / 'model.safetensors'} with sha256 {expected}..., got no such file, "
        "and no whole checkpoint to take it from; restore the file, or train again with --overwrite"
    )
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_weights_of_another_network_are_one_line(trained: Path, tmp_path: Path) -> None:
    shutil.copytree(trained, tmp_path / "run")
    recipe = tmp_path / "run" / "recipe.toml"
    recipe.write_text(recipe.read_text().replace("[4, 32, 32, 3]", "[4, 32, 8, 3]"))
    with pytest.raises(RunError) as caught:
        Run.open(tmp_path / "run").load_model()
    message = str(caught.value)
    assert message.startswith(f"expected the weights of recipe tiny in {tmp_path / 'run'}, got others (")
    assert message.endswith("); restore the file, or train again with --overwrite")
    assert "\n" not in message


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match=r"expected to be able to write to the folder .*run, got: Not a directory; give"):
        make_run(tmp_path / "file" / "run")


def test_data_is_cut_to_the_limit_of_the_recipe(tiny: Recipe, tmp_path: Path) -> None:
    splits = Run.create(tmp_path, tiny.smoke(), make_state()).load_data()
    assert len(splits.train) == 150
    limited = parse_recipe(TINY, overrides=["limit=10"])
    assert [len(split) for split in (network.load_splits(limited).train, network.load_splits(limited).test)] == [10, 10]
