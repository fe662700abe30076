import base64
import json
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from tests.slicing.stored.test_section import SECTION, TENSORS
from widthwise._shared import ExportError
from widthwise.slicing.stored import FileRanges, Stock, StoredFile, write_file

FACTS = {"made_by": "a test"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    target = tmp_path / "all.safetensors"
    write_file(target, {"one": (SECTION, TENSORS), "other": (SECTION, TENSORS)}, {"answer": 42}, FACTS)
    return target


def edit(path: Path, change: Callable[[dict[str, dict[str, object]]], object]) -> None:
    """Write a file anew with another header."""
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    change(header)
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + content[8 + length :])


def assert_refused(path: Path, message: str) -> None:
    with pytest.raises(ExportError) as caught:
        StoredFile(FileRanges(path), path.name)
    assert str(caught.value) == message


def test_what_was_written_is_read(path: Path) -> None:
    file = StoredFile(FileRanges(path))
    assert file.facts == FACTS
    assert file.content["answer"] == 42
    for name in ("one", "other"):
        stock = Stock(SECTION, file.offsets[name], file.content["checksums"][name], file.read)
        assert torch.equal(stock.fetch(["weight"], {})["weight"], TENSORS["weight"])


def test_bytes_and_ranges_are_counted(path: Path) -> None:
    file = StoredFile(FileRanges(path))
    start = file.offsets["one"]
    assert (file.bytes_read, file.num_reads) == (start, 2)
    file.read(start, 5)
    assert (file.bytes_read, file.num_reads) == (start + 5, 3)
    assert path.stat().st_size == start + 2 * SECTION.num_bytes


def test_safetensors_reads_it_and_slices_it(path: Path) -> None:
    with safe_open(path, framework="pt") as file:
        assert file.get_slice("one")[:8].tolist() == list(b"".join(SECTION.write(TENSORS))[:8])
        assert file.metadata()["made_by"] == "a test"


def test_a_file_that_is_cut_off_is_an_error(path: Path) -> None:
    file = StoredFile(FileRanges(path))
    with pytest.raises(ExportError, match=r"got a damaged one \(999,999 bytes from 0 on are [\d,]+\); fetch or make"):
        file.read(0, 999_999)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ExportError, match=r"^expected a file as save_elastic wrote it, got a damaged one"):
        StoredFile(FileRanges(path))


def test_a_file_of_something_else_is_an_error(path: Path) -> None:
    refusal = "expected a file of save_elastic, got all.safetensors, which is none; load it as what it is"
    edit(path, lambda header: header["__metadata__"].update(kind="another"))
    assert_refused(path, refusal)
    edit(path, lambda header: header.pop("__metadata__"))
    assert_refused(path, refusal)
    path.write_bytes(b"PK\x03\x04 no such file at all")
    assert_refused(path, refusal)


@pytest.mark.parametrize(
    ("schema", "remedy"),
    [("2", "update widthwise to read it"), ("0", "save it again with this version of widthwise"), (None, "save it")],
)
def test_another_schema_is_an_error(path: Path, schema: str | None, remedy: str) -> None:
    edit(path, lambda header: header["__metadata__"].update(schema=schema))
    with pytest.raises(ExportError, match=rf"^expected schema 1 in all\.safetensors, got {schema}; {remedy}"):
        StoredFile(FileRanges(path), path.name)


def fold(content: bytes) -> str:
    return base64.b64encode(zlib.compress(content)).decode()


@pytest.mark.parametrize(
    "content", ["no base64!", fold(b"no json"), fold(b"{}")[:-8], base64.b64encode(b"not compressed").decode(), 3]
)
def test_a_damaged_description_is_an_error(path: Path, content: object) -> None:
    edit(path, lambda header: header["__metadata__"].update(content=content))
    with pytest.raises(ExportError, match=r"got a damaged one \(a header that cannot be read: \w+\); fetch or make it"):
        StoredFile(FileRanges(path))


@pytest.mark.parametrize("header", [b"{no json", b"[1, 2]"])
def test_a_damaged_header_is_an_error(path: Path, header: bytes) -> None:
    path.write_bytes(struct.pack("<Q", len(header)) + header)
    with pytest.raises(ExportError, match=r"got a damaged one \(a header that is no JSON( object)?\)"):
        StoredFile(FileRanges(path))
