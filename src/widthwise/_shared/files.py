"""Files that are either the old one or the new one, never half of one: write to a temporary name, then rename.

Reading goes with it: a JSON file of ours carries `schema`, an integer, and one that is damaged or of another schema is
refused in one line.
"""

import errno
import json
import os
import secrets
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import cast

from widthwise._shared.errors import RunError, WidthwiseError

__all__ = ["read_json", "replace_file", "write_json", "write_text"]

# No space left on the device, over the quota, or a file larger than there may be.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

_MEND = "restore the file or make it again"
_CHECK = "check that this is a file of widthwise"


@contextmanager
def replace_file(path: str | os.PathLike[str], *, error: type[WidthwiseError] = RunError) -> Generator[Path]:
    """Yield a temporary path beside `path`, renamed to it at the end of the block, removed if the block raises.

    The temporary file exists (empty) from the start, so a folder that cannot be written to is found before the work
    and not after it; it keeps the suffix of `path`, by which some writers choose their format.

    Args:
        path: Where the finished file shall stand. What stands there now is untouched until the block has ended well.
        error: The class to raise where the file cannot be written.

    Raises:
        WidthwiseError: Of class `error`, where the folder is missing or not writable, `path` is a folder, or the disk
            is full, which may show at any time in the block.
    """
    target = Path(path)
    if target.is_dir():
        raise error(f"expected a file name to write to, got the folder {target}; give a file name inside it")
    temporary = target.with_name(f".{target.stem}.{secrets.token_hex(4)}.partial{target.suffix}")
    try:
        temporary.touch(exist_ok=False)
        mode = temporary.stat().st_mode
    except OSError as cause:
        raise error(_cannot_write(target, cause)) from cause
    try:
        try:
            yield temporary
        except OSError as cause:
            if cause.errno in _FULL:
                raise error(_cannot_write(target, cause)) from cause
            raise
        try:
            temporary.chmod(mode)  # some writers make a file of their own there, which only its owner may read
            _flush_to_disk(temporary)
            temporary.replace(target)
        except OSError as cause:
            raise error(_cannot_write(target, cause)) from cause
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_text(path: str | os.PathLike[str], text: str, *, error: type[WidthwiseError] = RunError) -> None:
    """Write `text` to `path` as UTF-8 with its line ends as they are, in one step as `replace_file` does."""
    with replace_file(path, error=error) as temporary:
        temporary.write_bytes(text.encode("utf-8"))


def write_json(
    path: str | os.PathLike[str], content: Mapping[str, object], *, error: type[WidthwiseError] = RunError
) -> None:
    """Write `content` to `path` as indented JSON, in one step as `replace_file` does.

    Raises:
        WidthwiseError: Of class `error`, where a number is not finite (JSON has no NaN) or the file cannot be written.
    """
    try:
        text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
    except ValueError as cause:
        advice = "write null for a missing number"
        raise error(f"expected finite numbers to write to {path}, got: {cause}; {advice}") from cause
    write_text(path, text + "\n", error=error)


def read_json(
    path: str | os.PathLike[str],
    *,
    schema: int,
    what: str,
    error: type[WidthwiseError] = RunError,
    remedy: str | None = None,
) -> dict[str, object]:
    """Return the JSON object in `path`, checked to be of this `schema`.

    Args:
        path: The file to read.
        schema: The version that the caller understands; the file's key `schema` must equal it.
        what: What the file is, in the reader's words, such as "run" or "curve"; it begins the message of an error.
        error: The class to raise.
        remedy: The end of the message about damaged content; None for a general one.

    Raises:
        WidthwiseError: Of class `error`, where the file is missing, unreadable, damaged or of another schema.
    """
    mend = remedy or _MEND
    try:
        found: object = json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError as cause:
        raise error(f"{what}: expected a file {path}, got none; check the path") from cause
    except OSError as cause:
        advice = "check what it is and who may read it"
        raise error(f"{what}: expected a readable file {path}, got: {cause.strerror}; {advice}") from cause
    except (ValueError, RecursionError) as cause:
        raise error(f"{what}: expected JSON in {path}, got damaged content ({cause}); {mend}") from cause
    if not isinstance(found, dict):
        raise error(f"{what}: expected a JSON object in {path}, got {type(found).__name__}; {mend}")
    content = cast("dict[str, object]", found)
    problem = _schema_problem(content.get("schema"), schema, remedy or _CHECK)
    if problem is not None:
        raise error(f"{what}: expected schema {schema} in {path}, got {problem}")
    return content


def _schema_problem(found: object, expected: int, remedy: str) -> str | None:
    if found is None:
        return f"none; {remedy}"
    # bool is an int in Python, and true == 1.
    if not isinstance(found, int) or isinstance(found, bool):
        return f"{found!r}; {remedy}"
    if found > expected:
        return f"schema {found}; update widthwise to read it"
    return f"schema {found}; make it again with this version of widthwise" if found < expected else None


def _cannot_write(target: Path, cause: OSError) -> str:
    got = cause.strerror or cause
    advice = "free some space" if cause.errno in _FULL else "create the folder"
    return f"expected to be able to write {target}, got: {got}; {advice}, or give another path"


def _flush_to_disk(path: Path) -> None:
    # A rename can reach the disk before the bytes do: without this a power cut leaves an empty file under that name.
    with path.open("rb+") as handle:
        os.fsync(handle.fileno())
