"""Folders that are either the old one or the new one, never half of one: the counterpart of `replace_file`."""

import os
import secrets
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from widthwise._shared import ExportError, WidthwiseError
from widthwise.slicing.formats.format import FACTS

__all__ = ["replace_folder"]


@contextmanager
def replace_folder(path: str | os.PathLike[str], *, error: type[WidthwiseError] = ExportError) -> Generator[Path]:
    """Yield a path beside `path` for a new folder, renamed to it at the end of the block, removed if the block raises.

    Args:
        path: Where the finished folder shall stand: where nothing is, or an empty folder, or one that was exported
            before, which it replaces.
        error: The class to raise where that cannot be.

    Raises:
        WidthwiseError: Of class `error`, where other files stand there, or the place cannot be written to.
    """
    target = Path(path)
    if target.exists() and not _may_go(target):
        got = f"{target} with other files in it" if target.is_dir() else f"the file {target}"
        raise error(f"expected a new folder, or one that was exported before, got {got}; give another path")
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.partial")
    try:
        temporary.mkdir()
        temporary.rmdir()
    except OSError as cause:
        raise error(_cannot_write(target, cause)) from cause
    try:
        yield temporary
        try:
            _swap(temporary, target)
        except OSError as cause:
            raise error(_cannot_write(target, cause)) from cause
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _may_go(target: Path) -> bool:
    return target.is_dir() and ((target / FACTS).is_file() or not any(target.iterdir()))


def _swap(temporary: Path, target: Path) -> None:
    if not target.exists():
        temporary.rename(target)
        return
    old = target.with_name(f"{temporary.name}.old")
    target.rename(old)
    try:
        temporary.rename(target)
    except OSError:
        old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _cannot_write(target: Path, cause: OSError) -> str:
    return (
        f"expected to be able to write {target}, got: {cause.strerror or cause}; create the folder above it, or give "
        "another path"
    )
