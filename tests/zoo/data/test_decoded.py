import hashlib
from pathlib import Path

import numpy as np
import pytest

from widthwise._shared import MissingExtraError
from widthwise.zoo.data import decoded
from widthwise.zoo.data.clouds import CloudSet
from widthwise.zoo.data.decoded import find_decoded, read_decoded, write_decoded


def make_set(content: bytes) -> CloudSet:
    sha256 = {"a.npz": hashlib.sha256(content).hexdigest()}
    return CloudSet(name="tiny", folder="tiny", address=None, sha256=sha256, num_classes=1, num_validation=1)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = find_decoded(make_set(b"one"), tmp_path)
    assert path is not None
    assert read_decoded(path, ["x"]) is None
    write_decoded(path, {"x": np.arange(3, dtype=np.uint8), "y": np.zeros(2)})
    found = read_decoded(path, ["x"])
    assert found is not None
    assert (found["x"].tolist(), found["x"].dtype) == ([0, 1, 2], np.uint8)
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_other_files_have_another_place(tmp_path: Path) -> None:
    paths = [find_decoded(make_set(content), tmp_path) for content in (b"one", b"other", b"one")]
    assert paths[0] == paths[2] != paths[1]
    assert paths[0] == tmp_path / "tiny" / f"decoded-{hashlib.sha256(b'one').hexdigest()[:16]}.npz"


def test_damaged_or_other_arrays_are_none(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    write_decoded(path, {"x": np.arange(3)})
    assert read_decoded(path, ["x", "y"]) is None
    path.write_bytes(path.read_bytes()[:-9])
    assert read_decoded(path, ["x"]) is None


def test_a_place_that_cannot_be_written_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    write_decoded(tmp_path / "file" / "a.npz", {"x": np.arange(3)})
    (tmp_path / "folder.npz").mkdir()
    write_decoded(tmp_path / "folder.npz", {"x": np.arange(3)})
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "folder.npz"]


def test_the_place_is_in_the_cache_folder_of_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pooch = pytest.importorskip("pooch")
    monkeypatch.setattr(pooch, "os_cache", lambda name: tmp_path / name)
    path = find_decoded(make_set(b"one"))
    assert path is not None
    assert path.parent == tmp_path / "widthwise" / "tiny"


def test_without_pooch_there_is_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    def lack(module: str, extra: str) -> None:
        raise MissingExtraError(f"{module} of {extra} is missing")

    monkeypatch.setattr(decoded, "require", lack)
    assert find_decoded(make_set(b"one")) is None
