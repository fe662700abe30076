"""Made-up picture data sets of a few tiny samples, as IDX files in a temporary folder."""

import gzip
import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor

from widthwise.zoo.data.image_set import TEST_IMAGES, TEST_LABELS, TRAIN_IMAGES, TRAIN_LABELS, ImageSet

MakeSet = Callable[..., ImageSet]


def encode_idx(values: Tensor) -> bytes:
    header = bytes([0, 0, 8, values.ndim]) + b"".join(size.to_bytes(4, "big") for size in values.shape)
    return gzip.compress(header + bytes(values.flatten().tolist()), mtime=0)


@pytest.fixture(name="encode_idx")
def encode_idx_fixture() -> Callable[[Tensor], bytes]:
    """Pack a uint8 tensor as an IDX .gz file."""
    return encode_idx


@pytest.fixture
def tiny_tensors() -> Mapping[str, Tensor]:
    """Seven training and three test pictures of 2x3 pixels, of four classes."""
    generator = torch.Generator().manual_seed(0)

    def draw(high: int, *shape: int) -> Tensor:
        return torch.randint(high, shape, generator=generator, dtype=torch.uint8)

    return {
        TRAIN_IMAGES: draw(256, 7, 2, 3),
        TRAIN_LABELS: draw(4, 7),
        TEST_IMAGES: draw(256, 3, 2, 3),
        TEST_LABELS: draw(4, 3),
    }


@pytest.fixture
def make_set(tiny_tensors: Mapping[str, Tensor]) -> MakeSet:
    """Write the tiny set, or the tensors given, into a folder; return its description."""

    def write(folder: Path, address: str = "http://127.0.0.1:9/", **changed: Tensor) -> ImageSet:
        tensors = {**tiny_tensors, **{_FILES[short]: values for short, values in changed.items()}}
        files = {file: encode_idx(values) for file, values in tensors.items()}
        folder.mkdir(parents=True, exist_ok=True)
        for file, content in files.items():
            (folder / file).write_bytes(content)
        sha256 = {file: hashlib.sha256(content).hexdigest() for file, content in files.items()}
        return ImageSet(
            name="tiny", folder="tiny_pictures", address=address, sha256=sha256, num_validation=2, num_classes=4
        )

    return write


_FILES = {
    "train_images": TRAIN_IMAGES,
    "train_labels": TRAIN_LABELS,
    "test_images": TEST_IMAGES,
    "test_labels": TEST_LABELS,
}
