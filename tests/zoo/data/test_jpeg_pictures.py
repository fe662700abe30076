import hashlib
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch

from widthwise._shared import DataError, MissingExtraError
from widthwise.zoo.data import jpeg_pictures
from widthwise.zoo.data.jpeg_pictures import CIFAR, JpegSet, load_jpegs
from widthwise.zoo.data.splits import DataSplits

image = pytest.importorskip("PIL.Image")
REMEDY = "use the original file"
# Of one colour each, which JPEG keeps to within a level.
COLOURS = [(0, 0, 0), (255, 255, 255), (10, 20, 30), (200, 100, 50), (90, 90, 90)]


def encode(colour: Sequence[int], size: tuple[int, int] = (8, 6)) -> bytes:
    content = io.BytesIO()
    image.new("RGB", size, tuple(colour)).save(content, "JPEG", quality=95)
    return content.getvalue()


def pack(part: str, pictures: Sequence[bytes]) -> dict[str, npt.NDArray[np.generic]]:
    return {
        f"{part}_bytes": np.frombuffer(b"".join(pictures), np.uint8),
        f"{part}_offsets": np.cumsum([0, *map(len, pictures)]),
        f"{part}_labels": np.arange(len(pictures), dtype=np.uint8),
    }


def write_set(folder: Path, **changed: npt.ArrayLike) -> JpegSet:
    pictures = [encode(colour) for colour in COLOURS]
    arrays = {**pack("train", pictures), **pack("test", pictures[:2]), **changed}
    content = io.BytesIO()
    np.savez(content, **arrays)
    (folder / "tiny.npz").write_bytes(content.getvalue())
    return JpegSet(
        name="tiny",
        folder="no",
        address=None,
        sha256={"tiny.npz": hashlib.sha256(content.getvalue()).hexdigest()},
        mean=(0.5, 0.25, 0.125),
        deviation=(1.0, 0.5, 0.25),
        num_validation=2,
        num_classes=5,
    )


def load(folder: Path, **changed: npt.ArrayLike) -> DataSplits:
    return load_jpegs(write_set(folder, **changed), folder, cache=folder / "cache")


def test_pictures_are_normalised_by_channel_and_the_last_ones_validate(tmp_path: Path) -> None:
    splits = load_jpegs(write_set(tmp_path), tmp_path, cache=tmp_path / "cache")
    assert (splits.name, splits.num_classes, splits.input_shape) == ("tiny", 5, (3, 6, 8))
    x = torch.cat([splits.train.tensors[0], splits.validation.tensors[0]])
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (3, 2, 2)
    assert splits.validation.tensors[1].tolist() == [3, 4]
    assert (x.dtype, splits.train.tensors[1].dtype) == (torch.float32, torch.int64)
    mean, deviation = torch.tensor([0.5, 0.25, 0.125]), torch.tensor([1.0, 0.5, 0.25])
    expected = (torch.tensor(COLOURS) / 255 - mean) / deviation
    # Two levels of 255 for the rounding of JPEG, over the smallest deviation.
    torch.testing.assert_close(x, expected[:, :, None, None].expand_as(x), rtol=0, atol=2 / 255 / 0.25)
    assert torch.equal(splits.test.tensors[0], x[:2])


def test_grey_pictures_become_coloured_ones(tmp_path: Path) -> None:
    content = io.BytesIO()
    image.new("L", (8, 6), 255).save(content, "JPEG")
    splits = load(tmp_path, **pack("test", [content.getvalue()]))
    assert splits.test.tensors[0].shape == (1, 3, 6, 8)


@pytest.mark.parametrize("content", [b"", b"no picture", encode((9, 9, 9))[:-200]], ids=["empty", "text", "cut"])
def test_a_damaged_picture_is_an_error_that_names_it(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        load(tmp_path, **pack("test", [encode((1, 2, 3)), content]))
    assert str(caught.value) == f"test picture 1 in tiny.npz must be a JPEG, got damaged bytes; {REMEDY}"


def test_another_format_is_not_tried(tmp_path: Path) -> None:
    content = io.BytesIO()
    image.new("RGB", (8, 6)).save(content, "PNG")
    with pytest.raises(DataError, match=r"^test picture 0 in tiny\.npz must be a JPEG, got damaged bytes;"):
        load(tmp_path, **pack("test", [content.getvalue()]))


NUM_BYTES = sum(len(encode(colour)) for colour in COLOURS)


@pytest.mark.parametrize(
    "offsets", [[0, NUM_BYTES], [0, 5, 3, 9, 20, NUM_BYTES], [], [0, 1, 2, 3, 4, 5], [1, 2, 3, 4, 5, NUM_BYTES]]
)
def test_offsets_that_do_not_fit_are_an_error(offsets: list[int], tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        load(tmp_path, train_offsets=np.array(offsets, dtype=np.int64))
    got = f"{len(offsets)} from {min(offsets, default=0)} to {max(offsets, default=0)}"
    assert str(caught.value) == (
        f"train_offsets in tiny.npz must rise from 0 to {NUM_BYTES} in 6 numbers, got {got}; {REMEDY}"
    )


def test_a_label_of_no_class_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        load(tmp_path, test_labels=np.array([0, 5], np.uint8))
    assert str(caught.value) == f"test_labels in tiny.npz must lie in 0..4, got 5; {REMEDY}"


def test_no_picture_at_all_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        load(tmp_path, **pack("test", []))
    assert str(caught.value) == f"tiny.npz must hold at least one test picture, got none; {REMEDY}"


def test_pictures_of_several_sizes_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        load(tmp_path, **pack("test", [encode((1, 2, 3)), encode((1, 2, 3), (4, 6))]))
    assert str(caught.value) == f"test pictures in tiny.npz must be of one size, got (6, 4) and (6, 8); {REMEDY}"
    with pytest.raises(DataError) as caught:
        load(tmp_path, **pack("test", [encode((1, 2, 3), (4, 6))]))
    assert str(caught.value) == (
        f"train and test pictures in tiny.npz must be of one size, got (6, 8) and (6, 4); {REMEDY}"
    )


def test_too_few_pictures_to_validate_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        load(tmp_path, **pack("train", [encode((1, 2, 3))] * 2))
    assert str(caught.value) == (f"tiny.npz must hold more train pictures than the 2 that validate, got 2; {REMEDY}")


def test_without_pillow_the_error_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def is_absent(name: str) -> None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    tiny = write_set(tmp_path)
    monkeypatch.setattr("widthwise._shared.extras.importlib.import_module", is_absent)
    with pytest.raises(MissingExtraError) as caught:
        load_jpegs(tiny, tmp_path, cache=tmp_path)
    assert str(caught.value) == "this data needs pillow; install it with: pip install 'widthwise[data]'"


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was decoded, in the words of the progress bar."""
    seen: list[str] = []

    def track(items: range, description: str) -> range:
        seen.append(description)
        return items

    monkeypatch.setattr(jpeg_pictures, "track", track)
    return seen


def test_pictures_are_decoded_once(tmp_path: Path, decoded: list[str]) -> None:
    first, second = load(tmp_path), load(tmp_path)
    assert decoded == ["decoding the train pictures of tiny", "decoding the test pictures of tiny"]
    for one, other in ((first.train, second.train), (first.validation, second.validation), (first.test, second.test)):
        assert all(torch.equal(*pair) for pair in zip(one.tensors, other.tensors, strict=True))


def test_another_file_is_decoded_anew(tmp_path: Path, decoded: list[str]) -> None:
    load(tmp_path)
    splits = load(tmp_path, **pack("test", [encode((7, 7, 7))]))
    assert (len(decoded), len(splits.test)) == (4, 1)


def test_damaged_pictures_of_the_cache_are_decoded_anew(tmp_path: Path, decoded: list[str]) -> None:
    before = load(tmp_path)
    (kept,) = (tmp_path / "cache" / "no").iterdir()
    content = bytearray(kept.read_bytes())
    content[len(content) // 3] ^= 1
    kept.write_bytes(content)
    after = load(tmp_path)
    assert len(decoded) == 4
    assert torch.equal(after.train.tensors[0], before.train.tensors[0])
    load(tmp_path)
    assert len(decoded) == 4


@pytest.mark.slow  # Decodes sixty thousand pictures.
def test_cifar_has_its_known_numbers(data_folder: Path, tmp_path: Path) -> None:
    splits = load_jpegs(CIFAR, data_folder, cache=tmp_path)
    x, y = splits.train.tensors
    assert x.shape == (45_000, 3, 32, 32)
    assert torch.cat([y, splits.validation.tensors[1]]).bincount().tolist() == [5000] * 10
    assert (len(splits.validation), splits.test.tensors[1].bincount().tolist()) == (5000, [1000] * 10)
    # The numbers of the set have four digits, of which the last is rounded.
    torch.testing.assert_close(x.mean((0, 2, 3)), torch.zeros(3), rtol=0, atol=1e-3)
    torch.testing.assert_close(x.std((0, 2, 3)), torch.ones(3), rtol=0, atol=1e-3)
