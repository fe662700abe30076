"""The files of a data set in a folder: found, read and checked against their checksums.

A message shows the first digits of a checksum: it is compared by eye, with what `sha256sum FILE` says.
"""

import gzip
import hashlib
import zlib
from collections.abc import Mapping
from pathlib import Path

from widthwise._shared import DataError
from widthwise.zoo.data.file_set import FileSet
from widthwise.zoo.data.image_set import IMAGE_SETS

__all__ = ["DATA_VARIABLE", "describe_failure", "read_files"]

DATA_VARIABLE = "WIDTHWISE_DATA"
"""Environment variable that names the data folder where none is handed in."""

_NUM_DIGITS = 12


def read_files(file_set: FileSet, folder: Path) -> Mapping[str, bytes]:
    """Return the checked bytes of the files, from the set's subfolder of `folder` or from `folder` itself.

    A file may also lie there packed, with .gz behind its name: its checksum is then that of what is inside.

    Raises:
        DataError: A file is missing, cannot be read, or has another sha256.
    """
    home = _find_home(file_set, folder)
    return {file: _read_file(file_set, home / file) for file in file_set.sha256}


def describe_failure(file_set: FileSet, path: Path, got: str) -> str:
    """Return the message of every error about a file: which one, its checksum, what is wrong, how to get the set."""
    name_it = f"name the folder of the {file_set.name} files with --data DIR or {DATA_VARIABLE}"
    if file_set.address is None:
        remedy = f"{name_it}, as no address offers them"
    else:
        remedy = f"{name_it}, or name none and pip install 'widthwise[data]' to download them"
    return f"expected {path} (sha256 {_shorten(file_set.sha256[path.name])}), got {got}; {remedy}"


def _find_home(file_set: FileSet, folder: Path) -> Path:
    # The subfolder first: two sets use the same four names, so the files beside it may be those of another set.
    subfolder = folder / file_set.folder
    return subfolder if subfolder.is_dir() else folder


def _read_file(file_set: FileSet, path: Path) -> bytes:
    expected = file_set.sha256[path.name]
    try:
        content = _read_packed(path)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(describe_failure(file_set, path, f"a damaged {path.name}.gz")) from error
    except OSError as error:
        is_missing = isinstance(error, FileNotFoundError)
        got = "no such file" if is_missing else f"one that cannot be read ({error.strerror})"
        raise DataError(describe_failure(file_set, path, got)) from error
    got = hashlib.sha256(content).hexdigest()
    if got != expected:
        raise DataError(describe_failure(file_set, path, _describe(got)))
    return content


def _read_packed(path: Path) -> bytes:
    packed = path.with_name(f"{path.name}.gz")
    if packed.is_file() and not path.exists():
        return gzip.decompress(packed.read_bytes())
    return path.read_bytes()


def _describe(sha256: str) -> str:
    owners = [image_set.name for image_set in IMAGE_SETS.values() if sha256 in image_set.sha256.values()]
    return f"the file of {owners[0]}" if owners else f"sha256 {_shorten(sha256)}"


def _shorten(sha256: str) -> str:
    return f"{sha256[:_NUM_DIGITS]}..."
