"""Shapes as clouds of points on their surface: SHREC'11.

Source: Z. Lian et al., "SHREC'11 Track: Shape Retrieval on Non-rigid 3D Watertight Meshes", 3DOR 2011; the split of 16
shapes per class to train and 4 to test is that of R. Hanocka et al., "MeshCNN: A Network with an Edge", SIGGRAPH 2019.
"""

# N samples, P points of the source, K points kept, C = 3 coordinates
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import TensorDataset

from widthwise._shared import DataError
from widthwise.zoo.data.archive import read_arrays
from widthwise.zoo.data.source import fetch_files
from widthwise.zoo.data.splits import DataSplits

__all__ = ["SHREC", "CloudSet", "draw_points", "load_clouds"]

_NUM_COORDINATES = 3
_REMEDY = "use the original file"


@dataclass(frozen=True, kw_only=True, slots=True)
class CloudSet:
    """Describe clouds in one .npz file; the last `num_validation` training samples of each class validate.

    The file holds `points` (N, P, 3), `labels` (N,) and `is_train` (N,), and perhaps more, which is not read.
    """

    name: str
    folder: str
    """Subfolder in which the file may lie."""
    address: str | None
    """Where to download the file, with the closing slash; None where nobody offers it."""
    sha256: Mapping[str, str]
    """Checksum of the one file."""
    num_classes: int
    num_validation: int
    """Samples per class."""

    @property
    def file(self) -> str:
        """The name of the file."""
        return next(iter(self.sha256))


SHREC = CloudSet(
    name="shrec",
    folder="shapes",
    address=None,
    sha256=MappingProxyType(
        {"shrec11_split16.npz": "f0cdb530b303ad7c47c15f7271fe02a6fc5e0ff62e49534ba27eb6fde99ba69c"}
    ),
    num_classes=30,
    num_validation=3,
)
"""SHREC'11, 600 shapes of 30 classes, 1024 points each, drawn evenly by area and scaled into the unit ball."""


def load_clouds(cloud_set: CloudSet, folder: Path | None = None, *, cache: Path | None = None) -> DataSplits:
    """Return the splits of a set of clouds, with all the points that it holds; `draw_points` takes fewer.

    Args:
        cloud_set: Which one.
        folder: Where to look for its file, as in `fetch_files`.
        cache: Where a downloaded file is kept, as in `fetch_files`.

    Raises:
        DataError: The file is missing or damaged, or its parts do not fit together.
    """
    content = fetch_files(cloud_set, folder, cache=cache)[cloud_set.file]
    arrays = read_arrays(content, name=cloud_set.file, arrays=["points", "labels", "is_train"])
    _check_arrays(cloud_set, arrays)
    x_NPC = torch.from_numpy(arrays["points"].astype(np.float32))
    y_N = torch.from_numpy(arrays["labels"].astype(np.int64))
    is_train_N = torch.from_numpy(arrays["is_train"].astype(np.bool_))
    is_validation_N = _find_validation(y_N, is_train_N, cloud_set.num_validation)
    splits = {"train": is_train_N & ~is_validation_N, "validation": is_validation_N, "test": ~is_train_N}
    for split, is_in_N in splits.items():
        if not is_in_N.any():
            raise DataError(f"{cloud_set.file} must hold samples of the {split} split, got none; {_REMEDY}")
    samples = {split: TensorDataset(x_NPC[is_in_N], y_N[is_in_N]) for split, is_in_N in splits.items()}
    return DataSplits(
        name=cloud_set.name, num_classes=cloud_set.num_classes, input_shape=tuple(x_NPC.shape[1:]), **samples
    )


def draw_points(x_NPC: Tensor, num_points: int, generator: torch.Generator) -> Tensor:
    """Return clouds (N, num_points, C) of some of the points, drawn anew for each cloud and each call.

    Drawn for every batch it augments; drawn several times over the same samples it shows how far a score depends on
    the points.

    Raises:
        DataError: There are fewer points than that, or `num_points` is not positive.

    Example:
        >>> generator = torch.Generator().manual_seed(0)
        >>> draw_points(torch.rand(2, 1024, 3), 256, generator).shape
        torch.Size([2, 256, 3])
    """
    present = x_NPC.shape[1]
    if not 1 <= num_points <= present:
        raise DataError(
            f"num_points must lie in 1..{present}, the points of each cloud, got {num_points}; "
            "choose a number in this range"
        )
    noise_NP = torch.rand(x_NPC.shape[:2], generator=generator, device=generator.device)
    chosen_NK = noise_NP.argsort(dim=1)[:, :num_points].to(x_NPC.device)
    return x_NPC.gather(1, chosen_NK.unsqueeze(2).expand(-1, -1, x_NPC.shape[2]))


def _find_validation(y_N: Tensor, is_train_N: Tensor, per_class: int) -> Tensor:
    """Return which samples are among the last `per_class` training samples of their class."""
    is_validation_N = torch.zeros_like(is_train_N)
    for label in y_N.unique():
        members = torch.nonzero((y_N == label) & is_train_N).squeeze(1)
        is_validation_N[members[-per_class:]] = True
    return is_validation_N


def _check_arrays(cloud_set: CloudSet, arrays: Mapping[str, npt.NDArray[np.generic]]) -> None:
    shapes = [arrays[name].shape for name in ("points", "labels", "is_train")]
    points = shapes[0]
    if len(points) != 3 or points[2] != _NUM_COORDINATES or shapes[1:] != [points[:1]] * 2:
        got = ", ".join(map(str, shapes))
        raise DataError(
            f"points, labels and is_train in {cloud_set.file} must have the shapes (N, P, 3), (N,) and (N,), got "
            f"{got}; {_REMEDY}"
        )
    labels: list[int] = arrays["labels"].astype(np.int64).tolist()
    outside = [label for label in labels if not 0 <= label < cloud_set.num_classes]
    if outside:
        expected = f"0..{cloud_set.num_classes - 1}"
        raise DataError(f"labels in {cloud_set.file} must lie in {expected}, got {outside[0]}; {_REMEDY}")
    if not np.isfinite(arrays["points"].astype(np.float32)).all():
        raise DataError(f"points in {cloud_set.file} must be finite, got some that are not; {_REMEDY}")
