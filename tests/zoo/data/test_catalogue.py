from collections.abc import Callable
from pathlib import Path

import pytest

from widthwise._shared import DataError
from widthwise.zoo import DataSplits, TextSplits, describe_data, list_data, load_data, load_text

NAMES = ("digits", "mnist", "fashion", "cifar", "shrec", "ptb", "shakespeare")


def test_seven_data_sets_are_known() -> None:
    assert list_data() == NAMES
    assert list_data("classification") == NAMES[:5]
    assert list_data("language") == NAMES[5:]


def test_a_card_says_the_title_for_tables() -> None:
    titles = [describe_data(name).title for name in list_data()]
    assert titles == [
        "digits",
        "MNIST",
        "Fashion-MNIST",
        "CIFAR-10 (JPEG)",
        "SHREC'11",
        "Penn Treebank",
        "Tiny Shakespeare",
    ]
    assert [describe_data(name).name for name in list_data()] == list(NAMES)


def test_digits_are_loaded_by_name() -> None:
    splits = load_data("digits")
    assert (splits.name, len(splits.train), len(splits.validation), len(splits.test)) == ("digits", 1000, 300, 497)


def load_any(name: str, folder: str | Path) -> DataSplits | TextSplits:
    return load_data(name, folder) if describe_data(name).task == "classification" else load_text(name, folder)


# Without the pictures of CIFAR, which take long; test_jpeg_pictures.py loads them.
@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("mnist", (50_000, 10_000, 10_000)),
        ("fashion", (50_000, 10_000, 10_000)),
        ("shrec", (390, 90, 120)),
        ("ptb", (929_589, 73_760, 82_430)),
        ("shakespeare", (1_003_854, 55_770, 55_770)),
    ],
)
@pytest.mark.parametrize("kind", [str, Path])
def test_sets_of_files_are_loaded_by_name(name: str, sizes: tuple[int, ...], kind: type, data_folder: Path) -> None:
    splits = load_any(name, kind(data_folder))
    assert (splits.name, splits.task) == (name, describe_data(name).task)
    assert (len(splits.train), len(splits.validation), len(splits.test)) == sizes


@pytest.mark.parametrize(
    ("name", "file", "sha256"),
    [
        ("fashion", "train-images-idx3-ubyte.gz", "3aede38d6186"),
        ("cifar", "cifar10_jpeg.npz", "ac8959d827e6"),
        ("shrec", "shrec11_split16.npz", "f0cdb530b303"),
        ("ptb", "ptb.train.txt", "fcea919f6cf8"),
        ("shakespeare", "input.txt", "86c4e6aa9db7"),
    ],
)
def test_the_folder_reaches_the_set(name: str, file: str, sha256: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"^expected {tmp_path}/{file} .sha256 {sha256}"):
        load_any(name, str(tmp_path))


@pytest.mark.parametrize("call", [load_data, load_text, describe_data])
def test_an_unknown_name_is_an_error_that_lists_the_known_ones(call: Callable[[str], object]) -> None:
    with pytest.raises(DataError) as caught:
        call("imagenet")
    assert str(caught.value) == f"data must be one of {', '.join(NAMES)}, got 'imagenet'; use one of these names"


def test_texts_and_samples_are_loaded_by_their_own_function() -> None:
    with pytest.raises(DataError) as caught:
        load_data("ptb")
    assert str(caught.value) == "data must be samples with labels, got 'ptb', a text; load it with load_text"
    with pytest.raises(DataError) as caught:
        load_text("mnist")
    assert str(caught.value) == "data must be a text, got 'mnist', samples with labels; load it with load_data"


def test_a_folder_for_digits_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        load_data("digits", tmp_path)
    assert str(caught.value) == (
        f"digits come with scikit-learn and are read from no folder, got {tmp_path}; leave it out"
    )
