"""Checksums, by which a file that is no longer as it was written is found before it is used."""

import hashlib
from pathlib import Path

__all__ = ["compute_checksum", "describe_damage"]

# Enough to tell two files apart by eye.
_NUM_DIGITS = 12


def compute_checksum(path: Path) -> str | None:
    """Return the sha256 of a file in hexadecimal digits, None where it is missing or cannot be read."""
    try:
        with path.open("rb") as handle:
            return hashlib.file_digest(handle, "sha256").hexdigest()
    except OSError:
        return None


def describe_damage(path: Path, expected: str | None) -> str | None:
    """Return what is wrong with a file, as "expected ..., got ...", None where its sha256 is `expected`.

    Args:
        path: The file.
        expected: The sha256 it was written with; None where none is recorded, which no file satisfies.
    """
    found = compute_checksum(path)
    if found is not None and found == expected:
        return None
    wanted = "as it was written" if expected is None else f"with sha256 {_shorten(expected)}"
    return f"expected {path} {wanted}, got {'no such file' if found is None else f'sha256 {_shorten(found)}'}"


def _shorten(checksum: str) -> str:
    return f"{checksum[:_NUM_DIGITS]}..."
