"""The files of a picture data set from their public address, kept in the user's cache folder."""

import logging
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from widthwise._shared import DataError, MissingExtraError, require, track
from widthwise.zoo.data.file_set import FileSet
from widthwise.zoo.data.local_files import describe_failure

__all__ = ["download_files"]


def download_files(file_set: FileSet, cache: Path | None = None) -> Path:
    """Return the folder that holds the files, after downloading those that are not there or are damaged.

    Each file is written under a temporary name and takes its own only when its sha256 is right.

    Args:
        file_set: What to download.
        cache: Where to keep it; the user's cache folder unless given.

    Raises:
        DataError: Nobody offers the files, one cannot be downloaded or stored, what came has another sha256, or pooch
            is not installed.
    """
    if file_set.address is None:
        raise _failure(file_set, next(iter(file_set.sha256)), "no data folder")
    try:
        pooch = require("pooch", "data")
    except MissingExtraError as error:
        raise _failure(file_set, next(iter(file_set.sha256)), "no data folder and no pooch to download it") from error
    folder = (Path(pooch.os_cache("widthwise")) if cache is None else cache) / file_set.folder
    registry = {file: f"sha256:{sha256}" for file, sha256 in file_set.sha256.items()}
    fetcher = pooch.create(path=folder, base_url=file_set.address, registry=registry)
    with _quiet(pooch.get_logger()):
        for file in track(registry, f"downloading {file_set.name}"):
            _download_file(fetcher.fetch, file_set, file)
    return folder


def _download_file(fetch: Callable[[str], object], file_set: FileSet, file: str) -> None:
    try:
        fetch(file)
    except PermissionError as error:
        raise _failure(file_set, file, f"a cache folder that cannot be written ({error.strerror or error})") from error
    except OSError as error:  # Every error of requests is one, "no network" and "no such page" included.
        got = f"no answer from {file_set.address} ({type(error).__name__})"
        raise _failure(file_set, file, got) from error
    except ValueError as error:  # What pooch raises for another checksum.
        raise _failure(file_set, file, f"another file from {file_set.address}") from error


def _failure(file_set: FileSet, file: str, got: str) -> DataError:
    return DataError(describe_failure(file_set, Path(file), got))


@contextmanager
def _quiet(logger: logging.Logger) -> Generator[None]:
    # The bar already says what is going on; log lines would break it. A filter, because this logger stands outside the
    # hierarchy, and such a one forgets to look again when its level changes.
    logger.addFilter(_is_warning)
    try:
        yield
    finally:
        logger.removeFilter(_is_warning)


def _is_warning(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.WARNING
