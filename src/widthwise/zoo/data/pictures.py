"""From the four files of a picture data set to its three splits."""

# N samples, C = 1 channel, H height, W width
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor
from torch.utils.data import TensorDataset

from widthwise._shared import DataError
from widthwise.zoo.data.idx import decode_idx
from widthwise.zoo.data.image_set import TEST_IMAGES, TEST_LABELS, TRAIN_IMAGES, TRAIN_LABELS, ImageSet
from widthwise.zoo.data.source import fetch_files
from widthwise.zoo.data.splits import DataSplits

__all__ = ["load_pictures"]

# Grey values of the source lie in 0..255.
_BRIGHTEST = 255


def load_pictures(image_set: ImageSet, folder: Path | None = None, *, cache: Path | None = None) -> DataSplits:
    """Return the splits of a picture data set: the last `num_validation` training samples validate.

    Args:
        image_set: Which one.
        folder: Where to look for its files, as in `fetch_files`.
        cache: Where downloaded files are kept, as in `fetch_files`.

    Raises:
        DataError: A file is missing, damaged or cannot be downloaded, or the files do not fit together.
    """
    files = fetch_files(image_set, folder, cache=cache)
    x_NCHW, y_N = _decode(image_set, files, TRAIN_IMAGES, TRAIN_LABELS)
    test_x_NCHW, test_y_N = _decode(image_set, files, TEST_IMAGES, TEST_LABELS)
    _check_sizes(image_set, x_NCHW, test_x_NCHW)
    num_train = len(y_N) - image_set.num_validation
    return DataSplits(
        name=image_set.name,
        train=TensorDataset(x_NCHW[:num_train], y_N[:num_train]),
        validation=TensorDataset(x_NCHW[num_train:], y_N[num_train:]),
        test=TensorDataset(test_x_NCHW, test_y_N),
        num_classes=image_set.num_classes,
        input_shape=tuple(x_NCHW.shape[1:]),
    )


def _decode(image_set: ImageSet, files: Mapping[str, bytes], images: str, labels: str) -> tuple[Tensor, Tensor]:
    x_NHW = decode_idx(files[images], name=images, num_dims=3)
    y_N = decode_idx(files[labels], name=labels, num_dims=1)
    if len(x_NHW) != len(y_N):
        raise DataError(
            f"{images} and {labels} of {image_set.name} must hold the same number of samples, got {len(x_NHW)} and "
            f"{len(y_N)}; use the original files"
        )
    if int(y_N.max()) >= image_set.num_classes:
        raise DataError(
            f"labels in {labels} of {image_set.name} must lie in 0..{image_set.num_classes - 1}, got {int(y_N.max())}; "
            "use the original files"
        )
    return x_NHW.unsqueeze(1).float().div_(_BRIGHTEST), y_N.long()


def _check_sizes(image_set: ImageSet, x_NCHW: Tensor, test_x_NCHW: Tensor) -> None:
    size, test_size = tuple(x_NCHW.shape[2:]), tuple(test_x_NCHW.shape[2:])
    if size != test_size:
        raise DataError(
            f"{TRAIN_IMAGES} and {TEST_IMAGES} of {image_set.name} must hold pictures of the same size, got {size} and "
            f"{test_size}; use the original files"
        )
    if len(x_NCHW) <= image_set.num_validation:
        raise DataError(
            f"{TRAIN_IMAGES} of {image_set.name} must hold more than the {image_set.num_validation} pictures of the "
            f"validation split, got {len(x_NCHW)}; use the original files"
        )
