import gzip
import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from widthwise._shared import DataError
from widthwise.zoo.data.clouds import CloudSet
from widthwise.zoo.data.image_set import MNIST, TRAIN_IMAGES, ImageSet
from widthwise.zoo.data.local_files import read_files

MakeSet = Callable[..., ImageSet]
REMEDY = (
    "name the folder of the tiny files with --data DIR or WIDTHWISE_DATA, "
    "or name none and pip install 'widthwise[data]' to download them"
)


def digests(image_set: ImageSet, folder: Path) -> dict[str, str]:
    return {file: hashlib.sha256(content).hexdigest() for file, content in read_files(image_set, folder).items()}


@pytest.mark.parametrize("subfolder", ["", "tiny_pictures"])
def test_files_are_found_in_the_folder_and_in_its_subfolder(make_set: MakeSet, tmp_path: Path, subfolder: str) -> None:
    image_set = make_set(tmp_path / subfolder)
    assert digests(image_set, tmp_path) == image_set.sha256


def test_the_subfolder_comes_before_the_folder(make_set: MakeSet, tmp_path: Path) -> None:
    image_set = make_set(tmp_path / "tiny_pictures")
    for file in image_set.sha256:
        (tmp_path / file).write_bytes(b"of another set")
    assert digests(image_set, tmp_path) == image_set.sha256


def test_a_missing_file_is_an_error_that_names_it(make_set: MakeSet, tmp_path: Path) -> None:
    image_set = make_set(tmp_path)
    path = tmp_path / TRAIN_IMAGES
    path.unlink()
    with pytest.raises(DataError) as caught:
        read_files(image_set, tmp_path)
    expected = image_set.sha256[TRAIN_IMAGES][:12]
    assert str(caught.value) == f"expected {path} (sha256 {expected}...), got no such file; {REMEDY}"


def test_a_missing_folder_is_an_error_that_names_it(make_set: MakeSet, tmp_path: Path) -> None:
    image_set = make_set(tmp_path)
    with pytest.raises(DataError, match=f"^expected {tmp_path / 'no' / TRAIN_IMAGES} .* got no such file; name"):
        read_files(image_set, tmp_path / "no")


def test_a_file_that_cannot_be_read_is_an_error_that_says_why(make_set: MakeSet, tmp_path: Path) -> None:
    image_set = make_set(tmp_path)
    path = tmp_path / TRAIN_IMAGES
    path.unlink()
    path.mkdir()
    with pytest.raises(DataError) as caught:
        read_files(image_set, tmp_path)
    expected = image_set.sha256[TRAIN_IMAGES][:12]
    assert (
        str(caught.value)
        == f"expected {path} (sha256 {expected}...), got one that cannot be read (Is a directory); {REMEDY}"
    )


@pytest.mark.parametrize("damage", ["truncate", "flip", "empty"])
def test_a_damaged_file_is_an_error_that_shows_both_checksums(make_set: MakeSet, tmp_path: Path, damage: str) -> None:
    image_set = make_set(tmp_path)
    path = tmp_path / TRAIN_IMAGES
    content = path.read_bytes()
    changed = {"truncate": content[:-1], "flip": content[:-1] + bytes([content[-1] ^ 1]), "empty": b""}[damage]
    path.write_bytes(changed)
    with pytest.raises(DataError) as caught:
        read_files(image_set, tmp_path)
    expected, got = image_set.sha256[TRAIN_IMAGES][:12], hashlib.sha256(changed).hexdigest()[:12]
    assert str(caught.value) == f"expected {path} (sha256 {expected}...), got sha256 {got}...; {REMEDY}"


def test_the_file_of_another_known_set_is_called_so(data_folder: Path, make_set: MakeSet, tmp_path: Path) -> None:
    image_set = make_set(tmp_path)
    (tmp_path / TRAIN_IMAGES).write_bytes((data_folder / MNIST.folder / TRAIN_IMAGES).read_bytes())
    with pytest.raises(DataError, match="got the file of mnist; name the folder of the tiny files"):
        read_files(image_set, tmp_path)


def make_note(text: bytes, address: str | None = None) -> CloudSet:
    """Any set of one file will do."""
    sha256 = {"note.txt": hashlib.sha256(text).hexdigest()}
    return CloudSet(name="tiny", folder="tiny", address=address, sha256=sha256, num_classes=1, num_validation=1)


def test_a_packed_file_is_as_good_as_the_file(tmp_path: Path) -> None:
    (tmp_path / "note.txt.gz").write_bytes(gzip.compress(b"hello"))
    assert read_files(make_note(b"hello"), tmp_path) == {"note.txt": b"hello"}
    (tmp_path / "note.txt").write_bytes(b"hello, unpacked")
    assert read_files(make_note(b"hello, unpacked"), tmp_path) == {"note.txt": b"hello, unpacked"}


@pytest.mark.parametrize("damage", ["truncate", "flip", "empty", "garbage"])
def test_a_damaged_packed_file_is_an_error_that_says_so(tmp_path: Path, damage: str) -> None:
    packed = gzip.compress(b"hello" * 9)
    flipped = packed[:-5] + bytes([packed[-5] ^ 1]) + packed[-4:]
    content = {"truncate": packed[:-9], "flip": flipped, "empty": b"", "garbage": b"garbage"}[damage]
    note = make_note(b"hello" * 9, "http://127.0.0.1:9/")
    (tmp_path / "note.txt.gz").write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_files(note, tmp_path)
    # Nothing at all unpacks to nothing, so that the checksum alone can tell.
    got = f"sha256 {hashlib.sha256(b'').hexdigest()[:12]}..." if damage == "empty" else "a damaged note.txt.gz"
    expected = f"expected {tmp_path / 'note.txt'} (sha256 {note.sha256['note.txt'][:12]}...)"
    assert str(caught.value) == f"{expected}, got {got}; {REMEDY}"


def test_a_set_that_nobody_offers_is_not_said_to_be_downloaded(tmp_path: Path) -> None:
    note = make_note(b"hello")
    with pytest.raises(DataError) as caught:
        read_files(note, tmp_path)
    assert str(caught.value) == (
        f"expected {tmp_path / 'note.txt'} (sha256 {note.sha256['note.txt'][:12]}...), got no such file; "
        "name the folder of the tiny files with --data DIR or WIDTHWISE_DATA, as no address offers them"
    )
