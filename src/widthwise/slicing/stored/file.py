"""The bytes of a file of all widths: a .safetensors file whose tensors are sections, each a run of bytes.

Eight bytes with the length of the header, the header as JSON, then the sections. The metadata of the header hold the
schema and, compressed, all that is needed to find and to name the numbers in the sections.
"""

import base64
import json
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, final

from torch import Tensor

from widthwise._shared import ExportError
from widthwise.slicing.stored.ranges import RangeReader
from widthwise.slicing.stored.section import Section, damaged

__all__ = ["SCHEMA", "StoredFile", "write_file"]

SCHEMA = 1
_KIND = "widthwise.elastic"
_LENGTH_BYTES = 8
# More than the description of any network takes; what claims more is no file of ours.
_LONGEST = 1 << 28


def write_file(
    path: Path,
    sections: Mapping[str, tuple[Section, Mapping[str, Tensor]]],
    content: Mapping[str, object],
    facts: Mapping[str, str],
) -> None:
    """Write sections with their description.

    Args:
        path: The file, which is written over.
        sections: By name, each with its tensors.
        content: The description.
        facts: What a person may want to know of the file, such as its versions.
    """
    checksums: dict[str, list[int]] = {}
    with path.open("wb") as file:
        # The checksums stand before the bytes that they are of, so these are made twice rather than all held at once.
        for name, (section, tensors) in sections.items():
            checksums[name] = [zlib.crc32(level) for level in section.write(tensors)]
        file.write(_make_header(sections, {**content, "checksums": checksums}, facts))
        for section, tensors in sections.values():
            for level in section.write(tensors):
                file.write(level)


@final
class StoredFile:
    """A file of all widths: its description, and where its sections begin.

    Args:
        reader: Gives its bytes.
        name: Of the file, for messages.

    Attributes:
        content: The description.
        facts: What a person may want to know of the file.
        offsets: Where each section begins.
        bytes_read: How many bytes were read so far, the header's included.
        num_reads: How many ranges of bytes were read so far.

    Raises:
        ExportError: It is no such file, one of another schema, or damaged.
    """

    def __init__(self, reader: RangeReader, name: str = "the file") -> None:
        self._reader = reader
        self.bytes_read, self.num_reads = 0, 0
        header, start = self._read_header(name)
        metadata = header.pop("__metadata__", {})
        if not isinstance(metadata, dict) or metadata.get("kind") != _KIND:
            raise ExportError(f"expected a file of save_elastic, got {name}, which is none; load it as what it is")
        _check_schema(metadata.get("schema"), name)
        try:
            self.content: dict[str, Any] = _unfold(metadata["content"])
            self.offsets = {key: start + int(entry["data_offsets"][0]) for key, entry in header.items()}
        except (KeyError, TypeError, ValueError, LookupError, zlib.error, RecursionError) as cause:
            raise damaged(f"a header that cannot be read: {type(cause).__name__}") from cause
        self.facts = {key: value for key, value in metadata.items() if key not in ("kind", "schema", "content")}

    def read(self, offset: int, length: int) -> bytes:
        """Return the bytes of a range.

        Raises:
            ExportError: There are fewer.
        """
        content = self._reader.read(offset, length)
        self.bytes_read += len(content)
        self.num_reads += 1
        if len(content) != length:
            raise damaged(f"{length:,} bytes from {offset:,} on are {len(content):,}")
        return content

    def _read_header(self, name: str) -> tuple[dict[str, Any], int]:
        (length,) = struct.unpack("<Q", self.read(0, _LENGTH_BYTES))
        if length > _LONGEST:
            raise ExportError(f"expected a file of save_elastic, got {name}, which is none; load it as what it is")
        try:
            header = json.loads(self.read(_LENGTH_BYTES, length))
        except (ValueError, RecursionError) as cause:
            raise damaged("a header that is no JSON") from cause
        if not isinstance(header, dict):
            raise damaged("a header that is no JSON object")
        return header, _LENGTH_BYTES + length


def _make_header(
    sections: Mapping[str, tuple[Section, object]], content: Mapping[str, object], facts: Mapping[str, str]
) -> bytes:
    header: dict[str, object] = {
        "__metadata__": {"kind": _KIND, "schema": str(SCHEMA), **facts, "content": _fold(content)}
    }
    for name, (start, end) in _place([(name, section.num_bytes) for name, (section, _) in sections.items()]):
        header[name] = {"dtype": "U8", "shape": [end - start], "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _LENGTH_BYTES)
    return struct.pack("<Q", len(text)) + text


def _place(sizes: Sequence[tuple[str, int]]) -> Iterator[tuple[str, tuple[int, int]]]:
    start = 0
    for name, size in sizes:
        yield name, (start, start + size)
        start += size


def _fold(content: Mapping[str, object]) -> str:
    text = json.dumps(content, separators=(",", ":"), allow_nan=False)
    return base64.b64encode(zlib.compress(text.encode(), level=9)).decode()


def _unfold(text: str) -> Any:
    unpacker = zlib.decompressobj()
    # A few bytes can stand for any number of them.
    content = unpacker.decompress(base64.b64decode(text, validate=True), _LONGEST)
    if not unpacker.eof:
        raise ValueError("too long, or cut off")
    return json.loads(content)


def _check_schema(found: object, name: str) -> None:
    if found == str(SCHEMA):
        return
    newer = isinstance(found, str) and found.isdigit() and int(found) > SCHEMA
    remedy = "update widthwise to read it" if newer else "save it again with this version of widthwise"
    raise ExportError(f"expected schema {SCHEMA} in {name}, got {found}; {remedy}")
