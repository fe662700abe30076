"""The files of a picture data set in a folder: found, read and checked against their checksums."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from widthwise._shared import DataError
from widthwise.zoo.data.image_set import IMAGE_SETS, ImageSet

__all__ = ["DATA_VARIABLE", "read_files", "remedy"]

DATA_VARIABLE = "WIDTHWISE_DATA"
"""Environment variable that names the data folder where none is handed in."""


def read_files(image_set: ImageSet, folder: Path) -> Mapping[str, bytes]:
    """Return the checked bytes of the four .gz files, from the set's subfolder of `folder` or from `folder` itself.

    Raises:
        DataError: A file is missing, cannot be read, or has another sha256.
    """
    home = _find_home(image_set, folder)
    return {file: _read_file(image_set, home / file) for file in image_set.sha256}


def remedy(image_set: ImageSet) -> str:
    """Return the end of every error about a file: the ways to get the set."""
    return (
        f"put the four files of {image_set.name} into a folder and pass it with --data DIR or {DATA_VARIABLE}=DIR, "
        "or use neither and pip install 'widthwise[data]' to download them"
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
        got = "found no such file" if isinstance(error, FileNotFoundError) else f"cannot read it ({error.strerror})"
        raise DataError(f"expected {path} with sha256 {expected}, {got}; {remedy(image_set)}") from error
    got = hashlib.sha256(content).hexdigest()
    if got != expected:
        raise DataError(f"expected {path} with sha256 {expected}, got {_describe(got)}; {remedy(image_set)}")
    return content


def _describe(sha256: str) -> str:
    owners = [image_set.name for image_set in IMAGE_SETS.values() if sha256 in image_set.sha256.values()]
    return f"the file of {owners[0]}" if owners else f"sha256 {sha256} (another or a damaged file)"
