"""Tensors side by side in one run of bytes, level by level, so that the first bytes are the narrow network.

A level holds what it adds to each tensor, in the order of the tensors. So a fraction of all groups is one range of
bytes from the start, and what a larger fraction adds is the range after it. Widths that are no common fraction take of
each tensor the levels that it needs.
"""

import itertools
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from widthwise._shared import ExportError
from widthwise.graph import Axes, KeptSet, indices
from widthwise.slicing.stored.shells import Births, count_by_level, last_level, pack, position_levels, unpack

__all__ = ["Section", "Stock", "Stored", "damaged"]

Read = Callable[[int, int], bytes]


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Stored:
    """A tensor as it is stored.

    Attributes:
        name: Of the tensor.
        dtype: Of its numbers.
        axes: What its axes are made of.
    """

    name: str
    dtype: torch.dtype
    axes: Axes


@final
class Section:
    """Where the numbers of some tensors lie in a run of bytes.

    Args:
        entries: The tensors.
        births: The level of each unit, by the key of its atom.

    Attributes:
        entries: As given.
        levels: The level of each position along every axis, for each tensor.
        sizes: How many bytes each level adds to each tensor, by level.
        num_bytes: Of all levels.
    """

    def __init__(self, entries: Sequence[Stored], births: Births) -> None:
        self.entries = tuple(entries)
        self.levels = [position_levels(entry.axes, births) for entry in entries]
        num_levels = 1 + max([int(each.max()) for each in births.values()], default=0)
        counts = [count_by_level(levels, num_levels) for levels in self.levels]
        items = [entry.dtype.itemsize for entry in entries]
        self.sizes = [
            [count[level] * item for count, item in zip(counts, items, strict=True)] for level in range(num_levels)
        ]
        self._starts = list(itertools.accumulate(map(sum, self.sizes), initial=0))
        self.num_bytes = self._starts[-1]

    def write(self, tensors: Mapping[str, Tensor]) -> Iterator[bytes]:
        """Yield the bytes of each level.

        Args:
            tensors: At full size, by name.
        """
        packed = [
            memoryview(_to_bytes(pack(tensors[entry.name], levels)))
            for entry, levels in zip(self.entries, self.levels, strict=True)
        ]
        done = [0] * len(packed)
        for row in self.sizes:
            parts = [every[start : start + size] for every, start, size in zip(packed, done, row, strict=True)]
            done = [start + size for start, size in zip(done, row, strict=True)]
            yield b"".join(parts)

    def places(self, first: Sequence[int], last: Sequence[int]) -> Iterator[tuple[int, int, int, int]]:
        """Yield (offset, length, level, tensor) of what some levels add to each tensor, as it lies in the bytes.

        Args:
            first: The first level of each tensor that is asked for.
            last: The last one; below the first where nothing is.
        """
        for level in range(min(first, default=0), max(last, default=-1) + 1):
            offset = self._starts[level]
            for i, size in enumerate(self.sizes[level]):
                if size and first[i] <= level <= last[i]:
                    yield offset, size, level, i
                offset += size


@final
class Stock:
    """What was read of a section, which grows with the widths that are asked for.

    Args:
        section: Where its bytes lie.
        offset: Where the section begins.
        checksums: The CRC-32 of each level.
        read: Returns the bytes of a range.
    """

    def __init__(self, section: Section, offset: int, checksums: Sequence[int], read: Read) -> None:
        self.section = section
        self._offset = offset
        self._checksums = checksums
        self._read = read
        self._next = [0] * len(section.entries)
        self._held: list[list[bytes]] = [[] for _ in section.entries]

    def fetch(self, names: Sequence[str], kept: Mapping[int, KeptSet]) -> dict[str, Tensor]:
        """Return tensors at kept sets; only what was not read before is read.

        Raises:
            ExportError: The bytes are not those that were written.
        """
        wanted = [i for i, entry in enumerate(self.section.entries) if entry.name in names]
        last = [-1] * len(self.section.entries)
        for i in wanted:
            axes = self.section.entries[i].axes
            last[i] = last_level(self.section.levels[i], [indices(term, kept) for term in axes])
        places = list(self.section.places(self._next, last))
        rows = list(_by_level(self._take(places)))
        for row in rows:
            self._check(row)
        for _, i, content in itertools.chain.from_iterable(rows):
            self._held[i].append(content)
        self._next = [max(known, new + 1) for known, new in zip(self._next, last, strict=True)]
        return {self.section.entries[i].name: self._assemble(i, kept) for i in wanted}

    def _take(self, places: Sequence[tuple[int, int, int, int]]) -> Iterator[tuple[int, int, bytes]]:
        """Yield (level, tensor, bytes), with one read for what lies side by side."""
        first = 0
        for i, (offset, length, _, _) in enumerate(places):
            if i + 1 < len(places) and places[i + 1][0] == offset + length:
                continue
            start = places[first][0]
            content = memoryview(self._read(self._offset + start, offset + length - start))
            for at, size, level, tensor in places[first : i + 1]:
                yield level, tensor, bytes(content[at - start : at - start + size])
            first = i + 1

    def _check(self, row: Sequence[tuple[int, int, bytes]]) -> None:
        level = row[0][0]
        # A level of which some tensors alone were read cannot be told from a damaged one.
        is_whole = len(row) == sum(size > 0 for size in self.section.sizes[level])
        if is_whole and zlib.crc32(b"".join(content for _, _, content in row)) != self._checksums[level]:
            raise damaged("numbers that do not match their checksum")

    def _assemble(self, index: int, kept: Mapping[int, KeptSet]) -> Tensor:
        entry, content = self.section.entries[index], bytearray().join(self._held[index])
        stored = torch.frombuffer(content, dtype=entry.dtype) if content else torch.empty(0, dtype=entry.dtype)
        return unpack(stored, self.section.levels[index], entry.axes, kept)


def damaged(problem: str) -> ExportError:
    """Return the error of a file that is not as it was written."""
    return ExportError(
        f"expected a file as save_elastic wrote it, got a damaged one ({problem}); fetch or make it again"
    )


def _by_level(parts: Iterator[tuple[int, int, bytes]]) -> Iterator[list[tuple[int, int, bytes]]]:
    row: list[tuple[int, int, bytes]] = []
    for part in parts:
        if row and row[0][0] != part[0]:
            yield row
            row = []
        row.append(part)
    if row:
        yield row


def _to_bytes(flat: Tensor) -> bytes:
    return flat.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes()
