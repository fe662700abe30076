"""The formats that a plain network can be taken home in: files by their suffix, and a folder of Hugging Face."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from widthwise._shared import ExportError, WidthwiseError
from widthwise.slicing.formats.format import Format, Plain, Reader, find_reason
from widthwise.slicing.formats.hugging_face import HUGGING_FACE
from widthwise.slicing.formats.onnx import ONNX
from widthwise.slicing.formats.pt2 import PT2
from widthwise.slicing.formats.pte import PTE
from widthwise.slicing.formats.weights import PT, SAFETENSORS, exported_bytes

__all__ = [
    "FORMATS", "HUGGING_FACE", "Format", "Plain", "Reader", "exported_bytes", "find_format", "find_reason",
    "read_facts",
]  # fmt: skip

FORMATS: Mapping[str, Format] = MappingProxyType(
    {".safetensors": SAFETENSORS, ".pt": PT, ".pt2": PT2, ".onnx": ONNX, ".pte": PTE}
)


def find_format(path: str | Path) -> Format:
    """Return the format that a file's suffix names; a path that ends in "/" is a folder of Hugging Face.

    Raises:
        ExportError: It names none.
    """
    target = Path(path)
    if str(path).endswith("/") or (target.suffix not in FORMATS and target.is_dir()):
        return HUGGING_FACE
    if target.suffix not in FORMATS:
        raise ExportError(
            f"expected a file name ending in one of {', '.join(FORMATS)}, or a folder ending in / for Hugging Face, "
            f"got {target.name!r}; choose one of these"
        )
    return FORMATS[target.suffix]


def read_facts(path: str | Path) -> dict[str, str]:
    """Return what an exported file says of itself: run, widths, scores, versions; widths and scores as JSON.

    Raises:
        ExportError: There is no such file, it is damaged, or it says nothing, as one that another maker wrote.
        MissingExtraError: Its format needs an extra.
    """
    target, file_format = Path(path), find_format(path)
    if not target.exists():
        raise ExportError(f"expected an exported file {target}, got none; check the path")
    try:
        facts = file_format.read_facts(target)
    except WidthwiseError:
        raise
    except Exception as error:
        raise ExportError(
            f"expected a whole file of its format in {target}, got damaged content ({find_reason(error)}); export it "
            "again"
        ) from error
    if not facts:
        raise ExportError(
            f"expected a file that widthwise exported, got {target} without a word of where it comes from; "
            "check the path"
        )
    return facts
