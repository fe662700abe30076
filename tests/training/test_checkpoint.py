import hashlib
import json
from pathlib import Path

import pytest
import torch

from widthwise._shared import RunError
from widthwise.training.checkpoint import (
    Checkpoint,
    drop_checkpoints,
    load_checkpoint,
    read_weights,
    save_checkpoint,
    write_weights,
)


def make_checkpoint() -> Checkpoint:
    state = {"optimiser": {"state": {0: {"step": torch.tensor(3.0)}}, "betas": (0.9, 0.999)}, "step": 3}
    return Checkpoint(weights={"fc.weight": torch.randn(3, 2)}, state=state)


def test_a_checkpoint_reads_back_equal(tmp_path: Path) -> None:
    made = make_checkpoint()
    sha256 = save_checkpoint(tmp_path / "checkpoint", 3, made)
    found = load_checkpoint(tmp_path / "checkpoint", 3, sha256=sha256)
    assert torch.equal(found.weights["fc.weight"], made.weights["fc.weight"])
    assert found.state == made.state


def test_nothing_in_it_is_pickled(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, 1, make_checkpoint())
    names = sorted(path.name for path in tmp_path.rglob("*") if path.is_file())
    assert names == ["state.json", "state.safetensors", "weights.safetensors"]


def test_tied_and_strided_weights_can_be_written(tmp_path: Path) -> None:
    weight = torch.arange(6.0).reshape(2, 3)
    write_weights(tmp_path / "w.safetensors", {"a": weight, "b": weight, "c": weight.T})
    found = read_weights(tmp_path / "w.safetensors")
    assert torch.equal(found["b"], weight)
    assert torch.equal(found["c"], weight.T)


def test_only_the_kept_checkpoint_stays(tmp_path: Path) -> None:
    for epoch in (1, 2, 3):
        save_checkpoint(tmp_path, epoch, make_checkpoint())
    (tmp_path / ".epoch-00004.partial").mkdir()
    drop_checkpoints(tmp_path, keep=2)
    assert [path.name for path in tmp_path.iterdir()] == ["epoch-00002"]


def test_an_unfinished_one_of_the_same_epoch_is_replaced(tmp_path: Path) -> None:
    (tmp_path / ".epoch-00001.partial").mkdir()
    (tmp_path / "epoch-00001").mkdir()
    (tmp_path / "epoch-00001" / "weights.safetensors").write_bytes(b"half")
    made = make_checkpoint()
    sha256 = save_checkpoint(tmp_path, 1, made)
    assert load_checkpoint(tmp_path, 1, sha256=sha256).state == made.state


@pytest.mark.parametrize("name", ["weights.safetensors", "state.safetensors", "state.json"])
@pytest.mark.parametrize("damage", ["shorter", "flipped", "missing", "empty"])
def test_a_damaged_file_is_one_line(tmp_path: Path, name: str, damage: str) -> None:
    sha256 = save_checkpoint(tmp_path, 1, make_checkpoint())
    path = tmp_path / "epoch-00001" / name
    content = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        # In JSON one bit makes of the step 3 the step 2, which reads as well.
        last = content.rindex(b"3") if name == "state.json" else len(content) - 1
        flipped = content[:last] + bytes([content[last] ^ 1]) + content[last + 1 :]
        path.write_bytes({"shorter": content[:-2], "flipped": flipped, "empty": b""}[damage])
    with pytest.raises(RunError) as caught:
        load_checkpoint(tmp_path, 1, sha256=sha256)
    assert str(caught.value) == (
        f"checkpoint: expected {path} as it was written, got a missing or damaged file; "
        "restore the file, or train again with --overwrite"
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema": 99}, "checkpoint: expected schema 1 in .*, got schema 99; update widthwise to read it"),
        ({"state": {"__tensor__": "gone"}}, "checkpoint: expected the state of a training in .*, got damaged content"),
        ({"state": {"x": 1}}, "checkpoint: expected the state of a training in .*, got damaged content"),
        ({"state": 3}, "checkpoint: expected the state of a training in .*, got damaged content"),
        ({"sha256": 3}, "checkpoint: expected .* as it was written, got a missing or damaged file"),
    ],
)
def test_a_state_that_this_version_does_not_understand_is_one_line(
    tmp_path: Path, change: dict[str, object], message: str
) -> None:
    save_checkpoint(tmp_path, 1, make_checkpoint())
    path = tmp_path / "epoch-00001" / "state.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(RunError, match=message):
        load_checkpoint(tmp_path, 1, sha256=hashlib.sha256(path.read_bytes()).hexdigest())


@pytest.mark.parametrize("sha256", [None, 64 * "0"])
def test_a_checkpoint_that_is_missing_or_of_another_training_is_one_line(tmp_path: Path, sha256: str | None) -> None:
    for epoch in (1, 2):
        with pytest.raises(RunError, match=r"checkpoint: expected .*state\.json as it was written, got a missing or"):
            load_checkpoint(tmp_path, epoch, sha256=sha256)
        save_checkpoint(tmp_path, 2, make_checkpoint())


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(
        RunError, match=r"expected to be able to write the checkpoint .*epoch-00001, got: .*; free space or"
    ):
        save_checkpoint(tmp_path / "file" / "checkpoint", 1, make_checkpoint())


def test_weights_that_are_missing_or_damaged_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"expected weights in .*w\.safetensors, got no such file; restore the file"):
        read_weights(tmp_path / "w.safetensors")
    (tmp_path / "w.safetensors").write_bytes(b"half")
    with pytest.raises(
        RunError, match=r"expected weights in .*w\.safetensors, got a damaged file \(.*\); restore the file"
    ):
        read_weights(tmp_path / "w.safetensors")
