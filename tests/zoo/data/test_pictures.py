from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor

from widthwise._shared import DataError
from widthwise.zoo.data.image_set import (
    FASHION,
    MNIST,
    TEST_IMAGES,
    TEST_LABELS,
    TRAIN_IMAGES,
    TRAIN_LABELS,
    ImageSet,
)
from widthwise.zoo.data.pictures import load_pictures

MakeSet = Callable[..., ImageSet]

# Known counts of the original files, classes 0..9.
MNIST_TRAIN = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
MNIST_TEST = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
COUNTS = {"mnist": (MNIST_TRAIN, MNIST_TEST), "fashion": ([6000] * 10, [1000] * 10)}


@pytest.fixture(autouse=True)
def no_data_variable(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    monkeypatch.delenv("WIDTHWISE_DATA", raising=False)


def test_the_last_training_samples_validate(
    make_set: MakeSet, tiny_tensors: Mapping[str, Tensor], tmp_path: Path
) -> None:
    splits = load_pictures(make_set(tmp_path), tmp_path)
    x, y = tiny_tensors[TRAIN_IMAGES].unsqueeze(1) / 255, tiny_tensors[TRAIN_LABELS].long()
    assert (splits.name, splits.num_classes, splits.input_shape) == ("tiny", 4, (1, 2, 3))
    assert all(torch.equal(*pair) for pair in zip(splits.train.tensors, (x[:5], y[:5]), strict=True))
    assert all(torch.equal(*pair) for pair in zip(splits.validation.tensors, (x[5:], y[5:]), strict=True))
    assert torch.equal(splits.test.tensors[0], tiny_tensors[TEST_IMAGES].unsqueeze(1) / 255)
    assert torch.equal(splits.test.tensors[1], tiny_tensors[TEST_LABELS].long())


def test_black_is_zero_and_white_is_one(make_set: MakeSet, tmp_path: Path) -> None:
    pictures = torch.tensor([0, 255, 51], dtype=torch.uint8).reshape(3, 1, 1).expand(3, 2, 3)
    x, y = load_pictures(make_set(tmp_path, test_images=pictures), tmp_path).test.tensors
    assert (x.dtype, y.dtype) == (torch.float32, torch.int64)
    assert x[:, 0, 0, 0].tolist() == pytest.approx([0.0, 1.0, 0.2])


def test_the_environment_names_the_folder_where_none_is_given(
    make_set: MakeSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image_set = make_set(tmp_path / "named")
    monkeypatch.setenv("WIDTHWISE_DATA", str(tmp_path / "named"))
    assert len(load_pictures(image_set).test) == 3
    with pytest.raises(DataError, match=f"expected {tmp_path / 'given'}"):
        load_pictures(image_set, tmp_path / "given")


def test_an_empty_variable_is_as_good_as_none(
    make_set: MakeSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image_set = make_set(tmp_path / "cache" / "tiny_pictures")
    monkeypatch.setenv("WIDTHWISE_DATA", "")
    assert len(load_pictures(image_set, cache=tmp_path / "cache").test) == 3


def test_nothing_is_downloaded_where_a_folder_is_named(make_set: MakeSet, tmp_path: Path) -> None:
    image_set = make_set(tmp_path / "cache" / "tiny_pictures")
    with pytest.raises(DataError, match="got no such file"):
        load_pictures(image_set, tmp_path / "empty", cache=tmp_path / "cache")


def test_pictures_and_labels_of_other_numbers_are_an_error(make_set: MakeSet, tmp_path: Path) -> None:
    image_set = make_set(tmp_path, test_labels=torch.zeros(2, dtype=torch.uint8))
    with pytest.raises(DataError) as caught:
        load_pictures(image_set, tmp_path)
    assert str(caught.value) == (
        f"{TEST_IMAGES} and {TEST_LABELS} of tiny must hold the same number of samples, got 3 and 2; "
        "use the original files"
    )


def test_a_label_above_the_last_class_is_an_error(make_set: MakeSet, tmp_path: Path) -> None:
    image_set = make_set(tmp_path, train_labels=torch.tensor([0, 1, 2, 3, 4, 0, 0], dtype=torch.uint8))
    with pytest.raises(DataError) as caught:
        load_pictures(image_set, tmp_path)
    assert str(caught.value) == f"labels in {TRAIN_LABELS} of tiny must lie in 0..3, got 4; use the original files"


def test_no_sample_left_to_train_is_an_error(make_set: MakeSet, tmp_path: Path) -> None:
    zeros = torch.zeros(2, 2, 3, dtype=torch.uint8)
    image_set = make_set(tmp_path, train_images=zeros, train_labels=zeros[:, 0, 0])
    with pytest.raises(DataError) as caught:
        load_pictures(image_set, tmp_path)
    assert str(caught.value) == (
        f"{TRAIN_IMAGES} of tiny must hold more than the 2 pictures of the validation split, got 2; "
        "use the original files"
    )


def test_train_and_test_pictures_of_other_sizes_are_an_error(make_set: MakeSet, tmp_path: Path) -> None:
    image_set = make_set(tmp_path, test_images=torch.zeros(3, 4, 3, dtype=torch.uint8))
    with pytest.raises(DataError) as caught:
        load_pictures(image_set, tmp_path)
    assert str(caught.value) == (
        f"{TRAIN_IMAGES} and {TEST_IMAGES} of tiny must hold pictures of the same size, got (2, 3) and (4, 3); "
        "use the original files"
    )


@pytest.mark.parametrize("image_set", [MNIST, FASHION], ids=lambda image_set: image_set.name)
def test_the_original_files_have_their_known_class_counts(image_set: ImageSet, data_folder: Path) -> None:
    splits = load_pictures(image_set, data_folder)
    x, y = splits.train.tensors
    assert (x.shape, splits.input_shape) == ((50_000, 1, 28, 28), (1, 28, 28))
    assert (x.min().item(), x.max().item()) == (0.0, 1.0)
    assert (len(splits.validation), len(splits.test)) == (10_000, 10_000)
    train, test = COUNTS[image_set.name]
    assert torch.cat([y, splits.validation.tensors[1]]).bincount().tolist() == train
    assert splits.test.tensors[1].bincount().tolist() == test
