"""What took long to make of a file, kept in the user's cache folder: a convenience, never a reason to fail."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import numpy.typing as npt

from widthwise._shared import DataError, MissingExtraError, replace_file, require
from widthwise.zoo.data.archive import read_arrays
from widthwise.zoo.data.file_set import FileSet

__all__ = ["find_decoded", "read_decoded", "write_decoded"]

_NUM_DIGITS = 16


def find_decoded(file_set: FileSet, cache: Path | None = None) -> Path | None:
    """Return where the decoded arrays of a set are kept, whether they are there or not.

    The checksums of the files are in the name: other files have another place.

    Args:
        file_set: A set of one file.
        cache: The cache folder; the user's own unless given, which only pooch can tell (None without it).
    """
    try:
        home = cache if cache is not None else Path(require("pooch", "data").os_cache("widthwise"))
    except MissingExtraError:
        return None
    sha256 = next(iter(file_set.sha256.values()))
    return home / file_set.folder / f"decoded-{sha256[:_NUM_DIGITS]}.npz"


def read_decoded(path: Path, arrays: Sequence[str]) -> Mapping[str, npt.NDArray[np.generic]] | None:
    """Return the arrays kept at a path, or None where they are not there, or are damaged."""
    try:
        return read_arrays(path, name=path.name, arrays=arrays)
    except DataError:
        return None


def write_decoded(path: Path, arrays: Mapping[str, npt.NDArray[np.generic]]) -> None:
    """Keep arrays at a path, in one step; nothing happens where they cannot be written."""
    with suppress(OSError, DataError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with replace_file(path, error=DataError) as temporary:
            np.savez(temporary, allow_pickle=False, **arrays)
