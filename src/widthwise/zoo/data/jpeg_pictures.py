"""CIFAR-10 from pictures that were stored as JPEG: close to the original, and not the same.

Source: A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009. JPEG lost a part of the pixels
(quality 75, 4:2:0), so accuracies compare with each other and not with published ones.
"""

# N samples, C = 3 channels, H height, W width
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType, ModuleType

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import TensorDataset

from widthwise._shared import DataError, require, track
from widthwise.zoo.data.archive import read_arrays
from widthwise.zoo.data.decoded import find_decoded, read_decoded, write_decoded
from widthwise.zoo.data.source import fetch_files
from widthwise.zoo.data.splits import DataSplits

__all__ = ["CIFAR", "JpegSet", "load_jpegs"]

_Arrays = Mapping[str, npt.NDArray[np.generic]]

# Each channel of the source lies in 0..255.
_BRIGHTEST = 255
_REMEDY = "use the original file"
_PARTS, _DECODED = ("train", "test"), ("pictures", "labels")


@dataclass(frozen=True, kw_only=True, slots=True)
class JpegSet:
    """Describe colour pictures in one .npz file; the last `num_validation` of its training part validate.

    The file holds, for each of `train` and `test`, the JPEGs end to end (`train_bytes`), where each begins, with the
    end of the last (`train_offsets`), and their labels (`train_labels`).
    """

    name: str
    folder: str
    """Subfolder in which the file may lie."""
    address: str | None
    """Where to download the file, with the closing slash; None where nobody offers it."""
    sha256: Mapping[str, str]
    """Checksum of the one file."""
    mean: tuple[float, float, float]
    """Of each channel over the training split, on the scale 0..1."""
    deviation: tuple[float, float, float]
    """Of each channel over the training split, on the scale 0..1."""
    num_validation: int = 5_000
    num_classes: int = 10

    @property
    def file(self) -> str:
        """The name of the file."""
        return next(iter(self.sha256))


CIFAR = JpegSet(
    name="cifar",
    folder="cifar10_jpeg",
    address=None,
    sha256=MappingProxyType({"cifar10_jpeg.npz": "ac8959d827e64ad660ea33fb8206bffc9e98f1f75dba30bbbbaca2f95efba1e8"}),
    # Computed on the 45,000 pictures of the training split, as a test does again.
    mean=(0.4914, 0.4821, 0.4464),
    deviation=(0.2453, 0.2430, 0.2608),
)
"""CIFAR-10 as JPEG, with the labels and the order of the original."""


def load_jpegs(jpeg_set: JpegSet, folder: Path | None = None, *, cache: Path | None = None) -> DataSplits:
    """Return the splits of a set of JPEGs, each channel with mean 0 and deviation 1 over the training split.

    Args:
        jpeg_set: Which one.
        folder: Where to look for its file, as in `fetch_files`.
        cache: Where the decoded pictures are kept for the next time; the user's cache folder unless given.

    Raises:
        DataError: The file is missing or damaged, or its parts do not fit together.
        MissingExtraError: The pictures must be decoded, and Pillow is not installed (extra `data`).
    """
    content = fetch_files(jpeg_set, folder, cache=cache)[jpeg_set.file]
    pictures = _read_pictures(jpeg_set, content, find_decoded(jpeg_set, cache))
    x_NCHW, y_N = _normalise(jpeg_set, pictures, "train")
    test_x_NCHW, test_y_N = _normalise(jpeg_set, pictures, "test")
    _check_sizes(jpeg_set, x_NCHW, test_x_NCHW)
    num_train = len(y_N) - jpeg_set.num_validation
    return DataSplits(
        name=jpeg_set.name,
        train=TensorDataset(x_NCHW[:num_train], y_N[:num_train]),
        validation=TensorDataset(x_NCHW[num_train:], y_N[num_train:]),
        test=TensorDataset(test_x_NCHW, test_y_N),
        num_classes=jpeg_set.num_classes,
        input_shape=tuple(x_NCHW.shape[1:]),
    )


def _read_pictures(jpeg_set: JpegSet, content: bytes, kept: Path | None) -> _Arrays:
    """Return pictures and labels of both parts, decoded now, or once before and kept."""
    found = None if kept is None else read_decoded(kept, [f"{part}_{kind}" for part in _PARTS for kind in _DECODED])
    if found is not None:
        return found
    image = require("PIL.Image", "data")
    names = [f"{part}_{kind}" for part in _PARTS for kind in ("bytes", "offsets", "labels")]
    arrays = read_arrays(content, name=jpeg_set.file, arrays=names)
    pictures: dict[str, npt.NDArray[np.generic]] = {}
    for part in _PARTS:
        pictures[f"{part}_pictures"] = _decode(jpeg_set, arrays, part, image)
        pictures[f"{part}_labels"] = arrays[f"{part}_labels"]
    if kept is not None:
        write_decoded(kept, pictures)
    return pictures


def _decode(jpeg_set: JpegSet, arrays: _Arrays, part: str, image: ModuleType) -> npt.NDArray[np.uint8]:
    """Return the pictures (N, H, W, C) of `train` or `test`."""
    labels: list[int] = arrays[f"{part}_labels"].astype(np.int64).tolist()
    starts: list[int] = arrays[f"{part}_offsets"].astype(np.int64).tolist()
    joined = arrays[f"{part}_bytes"].tobytes()
    _check_part(jpeg_set, part, labels, starts, len(joined))
    pictures = [
        _decode_picture(jpeg_set, part, i, joined[starts[i] : starts[i + 1]], image)
        for i in track(range(len(labels)), f"decoding the {part} pictures of {jpeg_set.name}")
    ]
    sizes = {picture.shape for picture in pictures}
    if len(sizes) > 1:
        got = " and ".join(str(size[:2]) for size in sorted(sizes)[:2])
        raise DataError(f"{part} pictures in {jpeg_set.file} must be of one size, got {got}; {_REMEDY}")
    return np.stack(pictures)


def _normalise(jpeg_set: JpegSet, pictures: _Arrays, part: str) -> tuple[Tensor, Tensor]:
    x_NHWC = torch.from_numpy(pictures[f"{part}_pictures"])
    y_N = torch.from_numpy(pictures[f"{part}_labels"].astype(np.int64))
    x_NCHW = x_NHWC.permute(0, 3, 1, 2).contiguous().float().div_(_BRIGHTEST)
    mean_C11, deviation_C11 = (torch.tensor(values)[:, None, None] for values in (jpeg_set.mean, jpeg_set.deviation))
    return x_NCHW.sub_(mean_C11).div_(deviation_C11), y_N


def _check_part(jpeg_set: JpegSet, part: str, labels: list[int], starts: list[int], num_bytes: int) -> None:
    file, count = jpeg_set.file, len(labels)
    if not count:
        raise DataError(f"{file} must hold at least one {part} picture, got none; {_REMEDY}")
    if len(starts) != count + 1 or starts != sorted(starts) or (starts[0], starts[-1]) != (0, num_bytes):
        raise DataError(
            f"{part}_offsets in {file} must rise from 0 to {num_bytes} in {count + 1} numbers, got {len(starts)} from "
            f"{min(starts, default=0)} to {max(starts, default=0)}; {_REMEDY}"
        )
    if max(labels) >= jpeg_set.num_classes:
        expected = f"0..{jpeg_set.num_classes - 1}"
        raise DataError(f"{part}_labels in {file} must lie in {expected}, got {max(labels)}; {_REMEDY}")


def _decode_picture(
    jpeg_set: JpegSet, part: str, place: int, content: bytes, image: ModuleType
) -> npt.NDArray[np.uint8]:
    try:
        return np.asarray(image.open(io.BytesIO(content), formats=("JPEG",)).convert("RGB"))
    except (OSError, SyntaxError) as error:  # Pillow raises either for bytes that are no picture.
        raise DataError(
            f"{part} picture {place} in {jpeg_set.file} must be a JPEG, got damaged bytes; {_REMEDY}"
        ) from error


def _check_sizes(jpeg_set: JpegSet, x_NCHW: Tensor, test_x_NCHW: Tensor) -> None:
    size, test_size = tuple(x_NCHW.shape[2:]), tuple(test_x_NCHW.shape[2:])
    if size != test_size:
        raise DataError(
            f"train and test pictures in {jpeg_set.file} must be of one size, got {size} and {test_size}; {_REMEDY}"
        )
    if len(x_NCHW) <= jpeg_set.num_validation:
        raise DataError(
            f"{jpeg_set.file} must hold more train pictures than the {jpeg_set.num_validation} that validate, got "
            f"{len(x_NCHW)}; {_REMEDY}"
        )
