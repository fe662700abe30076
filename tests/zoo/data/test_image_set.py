import hashlib
import re

import pytest

from widthwise.zoo.data.image_set import FASHION, IMAGE_SETS, MNIST, ImageSet

FILES = [f"{part}-{kind}-ubyte.gz" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")]


def test_the_sets_are_listed_by_name() -> None:
    assert dict(IMAGE_SETS) == {"mnist": MNIST, "fashion": FASHION}


@pytest.mark.parametrize("image_set", IMAGE_SETS.values(), ids=lambda image_set: image_set.name)
def test_each_set_has_four_files_with_a_checksum_and_an_address(image_set: ImageSet) -> None:
    assert list(image_set.sha256) == FILES
    assert all(re.fullmatch("[0-9a-f]{64}", sha256) for sha256 in image_set.sha256.values())
    assert re.fullmatch("https?://.*/", image_set.address)


def test_no_two_files_share_a_checksum() -> None:
    checksums = [sha256 for image_set in IMAGE_SETS.values() for sha256 in image_set.sha256.values()]
    assert len(set(checksums)) == 8


def test_the_last_ten_thousand_of_ten_classes_validate() -> None:
    assert [(image_set.num_validation, image_set.num_classes) for image_set in IMAGE_SETS.values()] == [
        (10_000, 10)
    ] * 2


@pytest.mark.parametrize(
    ("image_set", "expected"),
    [
        (MNIST, "abca1685336e37aa33a42b8e8886e04e9bd739abb9c10b4340fdb3be3218f9e7"),
        (FASHION, "4208722e2f95c92b7e6f0789caf8e8b31dee57cf57b10c3956b314f438b6f3d2"),
    ],
)
def test_the_checksums_are_those_of_the_original_files(image_set: ImageSet, expected: str) -> None:
    table = "".join(f"{sha256}  {file}\n" for file, sha256 in sorted(image_set.sha256.items()))
    assert hashlib.sha256(table.encode()).hexdigest() == expected
