from pathlib import Path

import pytest

from widthwise._shared import DataError
from widthwise.zoo import list_data, load_data


def test_three_data_sets_are_known() -> None:
    assert list_data() == ("digits", "mnist", "fashion")


def test_digits_are_loaded_by_name() -> None:
    splits = load_data("digits")
    assert (splits.name, len(splits.train), len(splits.validation), len(splits.test)) == ("digits", 1000, 300, 497)


@pytest.mark.parametrize("name", ["mnist", "fashion"])
@pytest.mark.parametrize("kind", [str, Path])
def test_pictures_are_loaded_by_name(name: str, kind: type, data_folder: Path) -> None:
    splits = load_data(name, kind(data_folder))
    assert (splits.name, len(splits.train), len(splits.validation), len(splits.test)) == (name, 50_000, 10_000, 10_000)


def test_the_folder_reaches_the_set(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"^expected {tmp_path}/train-images-idx3-ubyte.gz .sha256 3aede38d6186"):
        load_data("fashion", str(tmp_path))


def test_an_unknown_name_is_an_error_that_lists_the_known_ones() -> None:
    with pytest.raises(DataError) as caught:
        load_data("cifar")
    assert str(caught.value) == "data must be one of digits, mnist, fashion, got 'cifar'; use one of these names"


def test_a_folder_for_digits_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        load_data("digits", tmp_path)
    assert str(caught.value) == (
        f"digits come with scikit-learn and are read from no folder, got {tmp_path}; leave it out"
    )
