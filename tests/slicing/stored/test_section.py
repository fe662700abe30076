import zlib

import pytest
import torch

from widthwise._shared import ExportError
from widthwise.graph import Atom, Frozen
from widthwise.slicing.stored import Section, Stock, Stored

A, B = Atom(0, 4), Atom(1, 6)
BIRTHS = {0: torch.tensor([0, 1, 3, 5]), 1: torch.tensor([0, 1, 2, 3, 4, 5])}
TENSORS = {
    "weight": torch.arange(24.0).reshape(4, 6),
    "bias": torch.arange(4).to(torch.bfloat16),
    "table": torch.arange(12).reshape(6, 2) > 5,
    "scale": torch.tensor(3.0, dtype=torch.float64),
}
SECTION = Section(
    [
        Stored(name="weight", dtype=torch.float32, axes=(A, B)),
        Stored(name="bias", dtype=torch.bfloat16, axes=(A,)),
        Stored(name="table", dtype=torch.bool, axes=(B, Frozen(2, ""))),
        Stored(name="scale", dtype=torch.float64, axes=()),
    ],
    BIRTHS,
)


class Reads:
    """Gives ranges of bytes and takes them down."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.ranges: list[tuple[int, int]] = []

    def __call__(self, offset: int, length: int) -> bytes:
        self.ranges.append((offset, length))
        return self.content[offset : offset + length]


def make_stock(content: bytes | None = None) -> tuple[Stock, Reads]:
    levels = list(SECTION.write(TENSORS))
    reads = Reads(b"head" + (b"".join(levels) if content is None else content))
    return Stock(SECTION, 4, [zlib.crc32(level) for level in levels], reads), reads


@pytest.mark.parametrize("kept", [{0: 1, 1: 1}, {0: 2, 1: 4}, {0: 4, 1: 2}, {}])
def test_what_is_fetched_is_the_cut(kept: dict[int, int]) -> None:
    stock, _ = make_stock()
    found = stock.fetch(list(TENSORS), kept)
    a, b = kept.get(0, 4), kept.get(1, 6)
    expected = {
        **TENSORS,
        "weight": TENSORS["weight"][:a, :b],
        "bias": TENSORS["bias"][:a],
        "table": TENSORS["table"][:b],
    }
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_a_level_is_one_range_from_the_start_and_the_next_one_goes_on_there() -> None:
    stock, reads = make_stock()
    stock.fetch(list(TENSORS), {0: 2, 1: 3})
    stock.fetch(list(TENSORS), {0: 2, 1: 2})
    stock.fetch(list(TENSORS), {})
    small = 6 * 4 + 2 * 2 + 6 + 8
    assert reads.ranges == [(4, small), (4 + small, SECTION.num_bytes - small)]
    assert SECTION.num_bytes == 24 * 4 + 4 * 2 + 12 + 8


def test_tensors_that_nobody_asks_for_are_not_read() -> None:
    stock, reads = make_stock()
    assert stock.fetch(["scale"], {0: 1, 1: 1})["scale"] == 3
    assert sum(length for _, length in reads.ranges) == 8
    found = stock.fetch(list(TENSORS), {})
    assert torch.equal(found["weight"], TENSORS["weight"])
    assert sum(length for _, length in reads.ranges) == SECTION.num_bytes


def test_damaged_numbers_are_found_and_not_kept() -> None:
    content = bytearray(b"".join(SECTION.write(TENSORS)))
    content[-1] ^= 1
    stock, reads = make_stock(bytes(content))
    stock.fetch(list(TENSORS), {0: 1, 1: 1})
    with pytest.raises(ExportError) as caught:
        stock.fetch(list(TENSORS), {})
    assert str(caught.value) == (
        "expected a file as save_elastic wrote it, got a damaged one (numbers that do not match their checksum); fetch "
        "or make it again"
    )
    reads.content = b"head" + b"".join(SECTION.write(TENSORS))
    assert torch.equal(stock.fetch(["weight"], {})["weight"], TENSORS["weight"])
