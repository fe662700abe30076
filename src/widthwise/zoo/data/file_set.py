"""What every data set of files says of itself, whatever is in the files."""

from collections.abc import Mapping
from typing import Protocol

__all__ = ["FileSet"]


class FileSet(Protocol):
    """Describe the files of a data set: their names, their checksums, and where to look for them."""

    @property
    def name(self) -> str:
        """What a recipe calls the set."""
        ...

    @property
    def folder(self) -> str:
        """Subfolder in which the files may lie."""
        ...

    @property
    def address(self) -> str | None:
        """Where to download the files, with the closing slash; None where nobody offers them."""
        ...

    @property
    def sha256(self) -> Mapping[str, str]:
        """Checksum of each file, by its name."""
        ...
