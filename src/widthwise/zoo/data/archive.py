"""Arrays in an .npz file, read without anything in it being run."""

import io
import zipfile
import zlib
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from widthwise._shared import DataError

__all__ = ["read_arrays"]

_REMEDY = "replace the file by the original one"


def read_arrays(content: bytes, *, name: str, arrays: Sequence[str]) -> Mapping[str, npt.NDArray[np.generic]]:
    """Return the named arrays of an .npz file.

    Args:
        content: the bytes of the file.
        name: what to call the file in an error.
        arrays: which of its arrays to read.

    Raises:
        DataError: the file is damaged, or lacks one of the arrays.
    """
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
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
