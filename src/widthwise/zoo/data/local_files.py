"""The files of a picture data set in a folder: found, read and checked against their checksums.

A message shows the first digits of a checksum: it is compared by eye, with what `sha256sum FILE` says.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from widthwise._shared import DataError
from widthwise.zoo.data.image_set import IMAGE_SETS, ImageSet

__all__ = ["DATA_VARIABLE", "describe_failure", "read_files"]

DATA_VARIABLE = "WIDTHWISE_DATA"
"""Environment variable that names the data folder where none is handed in."""

_NUM_DIGITS = 12


def read_files(image_set: ImageSet, folder: Path) -> Mapping[str, bytes]:
    """Return the checked bytes of the four .gz files, from the set's subfolder of `folder` or from `folder` itself.

    Raises:
        DataError: A file is missing, cannot be read, or has another sha256.
    """
    home = _find_home(image_set, folder)
    return {file: _read_file(image_set, home / file) for file in image_set.sha256}


def describe_failure(image_set: ImageSet, path: Path, got: str) -> str:
    """Return the message of every error about a file: which one, its checksum, what is wrong, how to get the set."""
    return (
        f"expected {path} (sha256 {_shorten(image_set.sha256[path.name])}), got {got}; name the folder of the "
        f"{image_set.name} files with --data DIR or {DATA_VARIABLE}, or name none and pip install 'widthwise[data]' "
        "to download them"
    )


def _find_home(image_set: ImageSet, folder: Path) -> Path:
    # The subfolder first: two sets use the same four names, so the files beside it may be those of another set.
    subfolder = folder / image_set.folder
    return subfolder if subfolder.is_dir() else folder


def _read_file(image_set: ImageSet, path: Path) -> bytes:
    expected = image_set.sha256[path.name]
    try:
        content = path.read_bytes()
    except OSError as error:
        is_missing = isinstance(error, FileNotFoundError)
        got = "no such file" if is_missing else f"one that cannot be read ({error.strerror})"
        raise DataError(describe_failure(image_set, path, got)) from error
    got = hashlib.sha256(content).hexdigest()
    if got != expected:
        raise DataError(describe_failure(image_set, path, _describe(got)))
    return content


def _describe(sha256: str) -> str:
    owners = [image_set.name for image_set in IMAGE_SETS.values() if sha256 in image_set.sha256.values()]
    return f"the file of {owners[0]}" if owners else f"sha256 {_shorten(sha256)}"


def _shorten(sha256: str) -> str:
    return f"{sha256[:_NUM_DIGITS]}..."
