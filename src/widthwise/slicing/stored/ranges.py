"""Where bytes come from: anything that gives a range of them, such as a file or a server."""

from pathlib import Path
from typing import Protocol, final, runtime_checkable

from widthwise._shared import ExportError

__all__ = ["FileRanges", "RangeReader"]


@runtime_checkable
class RangeReader(Protocol):
    """Gives ranges of bytes, as a file does or a server that knows HTTP ranges."""

    def read(self, offset: int, length: int) -> bytes:
        """Return `length` bytes from `offset` on; fewer where there are no more."""
        ...


@final
class FileRanges:
    """Reads ranges of a file.

    Args:
        path: The file.

    Raises:
        ExportError: It cannot be read.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)

    def read(self, offset: int, length: int) -> bytes:
        """Return `length` bytes from `offset` on; fewer where there are no more.

        Raises:
            ExportError: The file cannot be read.
        """
        try:
            # Without a buffer, so that no more is read than was asked for.
            with self._path.open("rb", buffering=0) as file:
                file.seek(offset)
                parts: list[bytes] = []
                # One read of a file may give less than it was asked for.
                while length > 0 and (part := file.read(length)):
                    parts.append(part)
                    length -= len(part)
                return b"".join(parts)
        except OSError as cause:
            raise ExportError(
                f"expected a file that can be read at {self._path}, got: {cause.strerror}; check the path"
            ) from cause
