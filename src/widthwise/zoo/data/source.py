"""Where the files of a data set come from: a folder that is named, else the network."""

import os
from collections.abc import Mapping
from pathlib import Path

from widthwise.zoo.data.download import download_files
from widthwise.zoo.data.file_set import FileSet
from widthwise.zoo.data.local_files import DATA_VARIABLE, read_files

__all__ = ["fetch_files"]


def fetch_files(file_set: FileSet, folder: Path | None = None, *, cache: Path | None = None) -> Mapping[str, bytes]:
    """Return the checked bytes of the files of a set, by name.

    They come from `folder`, else from the folder that the environment variable WIDTHWISE_DATA names, else from the
    network; a folder that is named and lacks them is an error, and nothing is then downloaded.

    Args:
        file_set: Which one.
        folder: Holds the files, or a subfolder with them.
        cache: Where downloaded files are kept; the user's cache folder unless given.

    Raises:
        DataError: A file is missing, damaged or cannot be downloaded.
    """
    home = folder if folder is not None else _folder_of_environment()
    return read_files(file_set, download_files(file_set, cache) if home is None else home)


def _folder_of_environment() -> Path | None:
    value = os.environ.get(DATA_VARIABLE, "")
    return Path(value).expanduser() if value else None
