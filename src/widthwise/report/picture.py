"""What every picture file has in common: its endings, its settings, and that the same content is the same file."""

import os
from collections.abc import Mapping
from pathlib import Path

from widthwise._shared import WidthwiseError

__all__ = ["SETTINGS", "check_ending", "make_metadata"]

_FORMATS = (".png", ".svg", ".pdf")

# Text stays text, also where it holds dollar signs; names within a file come from a salt and not from chance.
SETTINGS: Mapping[str, object] = {
    "font.size": 10,
    "text.parse_math": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "widthwise",
}


def check_ending(path: str | os.PathLike[str], error: type[WidthwiseError]) -> str:
    """Return the format that a picture file has by its ending: "png", "svg" or "pdf".

    Args:
        path: The name of the file.
        error: The class to raise where it ends otherwise.

    Raises:
        WidthwiseError: Of class `error`, where it does.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in _FORMATS:
        raise error(f"expected a file name ending in {', '.join(_FORMATS)}, got {Path(path).name}; choose one of them")
    return suffix[1:]


def make_metadata(file_format: str) -> Mapping[str, str | None]:
    """Return what savefig is to write about a file of a format: no date, so that the same content is the same file."""
    dated: Mapping[str, Mapping[str, str | None]] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
    return dated.get(file_format, {})
