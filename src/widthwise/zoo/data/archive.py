"""Arrays in an .npz file, read without anything in it being run."""

import io
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from widthwise._shared import DataError

__all__ = ["read_arrays"]

_REMEDY = "replace the file by the original one"


def read_arrays(content: bytes | Path, *, name: str, arrays: Sequence[str]) -> Mapping[str, npt.NDArray[np.generic]]:
    """Return the named arrays of an .npz file.

    Args:
        content: the bytes of the file, or where it is.
        name: what to call the file in an error.
        arrays: which of its arrays to read.

    Raises:
        DataError: the file is missing or damaged, or lacks one of the arrays.
    """
    try:
        # Opened here, as numpy leaves a damaged file open.
        opened = io.BytesIO(content) if isinstance(content, bytes) else content.open("rb")
        with opened, np.load(opened, allow_pickle=False) as archive:
            present = archive.files
            missing = [array for array in arrays if array not in present]
            found = {} if missing else {array: archive[array] for array in arrays}
    # The last two are an array alone instead of an archive of them, and an empty file.
    except (OSError, ValueError, zipfile.BadZipFile, zlib.error, AttributeError, TypeError, EOFError) as error:
        expected = ", ".join(arrays)
        raise DataError(f"{name} must be a whole .npz file with the arrays {expected}, got none; {_REMEDY}") from error
    if missing:
        got = ", ".join(present) or "nothing"
        raise DataError(f"{name} must hold the arrays {', '.join(arrays)}, got {got}; {_REMEDY}")
    return found
