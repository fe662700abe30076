import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from widthwise._shared import DataError
from widthwise.zoo.data.clouds import CloudSet
from widthwise.zoo.data.image_set import TRAIN_LABELS, ImageSet
from widthwise.zoo.data.source import fetch_files

MakeSet = Callable[..., ImageSet]


@pytest.fixture(autouse=True)
def no_data_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WIDTHWISE_DATA", raising=False)


def test_the_folder_comes_before_the_variable(
    make_set: MakeSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image_set = make_set(tmp_path / "named")
    monkeypatch.setenv("WIDTHWISE_DATA", str(tmp_path / "named"))
    files = fetch_files(image_set)
    assert files[TRAIN_LABELS] == (tmp_path / "named" / TRAIN_LABELS).read_bytes()
    with pytest.raises(DataError, match=f"expected {tmp_path / 'given'}"):
        fetch_files(image_set, tmp_path / "given")


def test_the_cache_comes_last(make_set: MakeSet, tmp_path: Path) -> None:
    pytest.importorskip("pooch")
    image_set = make_set(tmp_path / "cache" / "tiny_pictures")
    assert list(fetch_files(image_set, cache=tmp_path / "cache")) == list(image_set.sha256)


def test_without_a_folder_a_set_that_nobody_offers_is_an_error(tmp_path: Path) -> None:
    sha256 = {"note.txt": hashlib.sha256(b"hello").hexdigest()}
    note = CloudSet(name="tiny", folder="tiny", address=None, sha256=sha256, num_classes=1, num_validation=1)
    with pytest.raises(DataError) as caught:
        fetch_files(note, cache=tmp_path)
    assert str(caught.value) == (
        f"expected note.txt (sha256 {sha256['note.txt'][:12]}...), got no data folder; "
        "name the folder of the tiny files with --data DIR or WIDTHWISE_DATA, as no address offers them"
    )
