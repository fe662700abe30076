"""The file formats that a plain network can be taken home in, by suffix."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from widthwise._shared import ExportError
from widthwise.slicing.formats.format import Format, Plain, Reader, find_reason
from widthwise.slicing.formats.onnx import ONNX
from widthwise.slicing.formats.pt2 import PT2
from widthwise.slicing.formats.weights import PT, SAFETENSORS, exported_bytes

__all__ = ["FORMATS", "Format", "Plain", "Reader", "exported_bytes", "find_format", "find_reason"]

FORMATS: Mapping[str, Format] = MappingProxyType({".safetensors": SAFETENSORS, ".pt": PT, ".pt2": PT2, ".onnx": ONNX})


def find_format(path: str | Path) -> Format:
    """Return the format that a file's suffix names.

    Raises:
        ExportError: It names none.
    """
    target = Path(path)
    if target.suffix not in FORMATS:
        raise ExportError(
            f"expected a file name ending in one of {', '.join(FORMATS)}, got {target.name!r}; choose one of these"
        )
    return FORMATS[target.suffix]
