"""Read the network of a width out of a file of all widths, and no more of the file than that."""

import operator
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, final

from torch import Tensor, nn

from widthwise._shared import WidthError, WidthWarning, WidthwiseError
from widthwise.elastic.files.corrections import find_shares, fold_in
from widthwise.elastic.files.levels import find_births
from widthwise.elastic.widths import Width, mean_fraction, resolve_widths
from widthwise.groups import Group, Groups
from widthwise.slicing.stored import (
    FileRanges,
    RangeReader,
    Section,
    Stock,
    Stored,
    StoredFile,
    StoredGraph,
    damaged,
    read_constant,
    read_term,
)

__all__ = ["ElasticFile", "load"]

_FAILURES = (KeyError, TypeError, ValueError, LookupError, AttributeError, RuntimeError, RecursionError)


@final
class ElasticFile:
    """A file of `save_elastic`; it keeps what it has read, so that another width takes only what is new.

    Args:
        source: The path of the file, or whatever gives ranges of its bytes: an object with `read(offset, length)`.

    Attributes:
        lowest: The units of each group at the narrowest width that the file holds.
        facts: What the file says of itself: versions and widths.

    Raises:
        ExportError: It cannot be read, is no such file, one of another schema, or damaged.

    Example:
        >>> file = ElasticFile("all.safetensors")  # doctest: +SKIP
        >>> small = file.load(0.25)  # doctest: +SKIP
        >>> large = file.load(0.5)  # doctest: +SKIP
        >>> file.bytes_read  # doctest: +SKIP
        412_004
    """

    def __init__(self, source: str | Path | RangeReader) -> None:
        is_path = isinstance(source, str | Path)
        reader = FileRanges(source) if is_path else source
        self._file = StoredFile(reader, Path(source).name if is_path else "the file")
        self.facts = self._file.facts
        try:
            self._read_content(self._file.content)
        except WidthwiseError:
            raise
        except _FAILURES as cause:
            raise damaged(f"a description that cannot be read: {type(cause).__name__}") from cause

    @property
    def groups(self) -> Groups:
        """The width groups, without their members."""
        return self._groups

    @property
    def calibrated(self) -> list[dict[str, int]]:
        """The widths below full for which the file holds BatchNorm statistics."""
        return [dict(zip(self.groups.sizes, units, strict=True)) for units in self._statistics]

    @property
    def bytes_read(self) -> int:
        """How many bytes were read so far, those of the header included."""
        return self._file.bytes_read

    @property
    def num_reads(self) -> int:
        """How many ranges of bytes were read so far."""
        return self._file.num_reads

    def widths(self, width: Width) -> dict[str, int]:
        """Return the units of every group at a width.

        Args:
            width: As for `Elastic.widths`.

        Raises:
            WidthError: The width is out of range, or below what the file holds.
        """
        widths = resolve_widths(width, self.groups)
        for group in self.groups:
            if widths[group.name] < self.lowest[group.name]:
                raise WidthError(
                    f"kept must lie in [{self.lowest[group.name]}, {group.size}] (width of {group.name} in this file), "
                    f"got {widths[group.name]}; load a wider network, or train and save with a smaller lowest"
                )
        return widths

    def load(self, width: Width) -> nn.Module:
        """Return the plain network at a width, in evaluation mode, on the CPU; it shares no storage with others.

        It is a `torch.fx.GraphModule` with the parameters of `model.extract(width)` under the same names, and equals
        that bit by bit.

        Args:
            width: As for `Elastic.widths`.

        Raises:
            WidthError: The width is out of range, or below what the file holds.
            ExportError: The file is damaged.

        Warns:
            WidthWarning: BatchNorm at a width for which the file holds no statistics.
        """
        return self._load(self.widths(width), stacklevel=2)

    def _load(self, widths: Mapping[str, int], *, stacklevel: int) -> nn.Module:
        units = tuple(widths.values())
        if self._has_statistics and widths != self.groups.sizes and units not in self._statistics:
            self._warn_of_statistics(widths, stacklevel=stacklevel + 1)
        kept = {group.key: widths[group.name] for group in self.groups}
        try:
            values = self._fetch("weights", kept)
            shares = find_shares(self._octaves, self.groups, widths)
            rows: dict[tuple[int, str], Tensor] = {}
            for octave in range(len(self._octaves)):
                names = [name for name, every in shares.items() if octave in dict(every)]
                found = self._fetch(f"octave.{octave}", kept, names)
                rows |= {(octave, name): row for name, row in found.items()}
            fold_in(values, shares, rows, self._units)
            if units in self._statistics:
                values |= self._fetch(f"statistics.{self._statistics.index(units)}", {})
            return self._build(values, kept)
        except WidthwiseError:
            raise
        except _FAILURES as cause:
            raise damaged(f"a network that cannot be built: {type(cause).__name__}") from cause

    def _fetch(self, section: str, kept: Mapping[int, int], names: Sequence[str] | None = None) -> dict[str, Tensor]:
        stock = self._stocks[section]
        return stock.fetch([entry.name for entry in stock.section.entries] if names is None else names, kept)

    def _build(self, values: Mapping[str, Tensor], kept: Mapping[int, int]) -> nn.Module:
        held: dict[str, Tensor] = {}
        state: dict[str, Tensor] = {}
        for each in self._state:
            source = each["tensor"]
            if source not in held:
                value = values[source]
                if "format" in each:
                    value = value.contiguous(memory_format=read_constant("memory_format", each["format"]))
                held[source] = nn.Parameter(value, requires_grad=bool(each["learns"])) if "learns" in each else value
            state[each["name"]] = held[source]
        saved = [each["name"] for each in self._state if each.get("is_saved")]
        return self._graph.build(kept, state, persistent=saved, smallest=self._smallest)

    def _warn_of_statistics(self, widths: Mapping[str, int], *, stacklevel: int) -> None:
        held = [f"{mean_fraction(each, self.groups):.3g}" for each in self.calibrated]
        there = f"the file holds those of about {', '.join(held)}" if held else "the file holds no others"
        warnings.warn(
            f"expected BatchNorm statistics of the width that is loaded ({mean_fraction(widths, self.groups):.3g} of "
            f"full), got those of the full width, with which a narrower network scores far too low; {there}: load one "
            "of these, or save the file with widths= and calibrate=",
            WidthWarning,
            stacklevel=stacklevel + 1,
        )

    def _read_content(self, content: Mapping[str, Any]) -> None:
        groups = [
            Group(
                name=each["name"],
                size=operator.index(each["size"]),
                lower_bound=operator.index(each["lower_bound"]),
                step=operator.index(each["step"]),
                kind=each["kind"],
                follows=bool(each["follows"]),
                members=(),
                key=position,
            )
            for position, each in enumerate(content["groups"])
        ]
        self._groups = Groups(groups, ())
        self.lowest: dict[str, int] = {each["name"]: operator.index(each["lowest"]) for each in content["groups"]}
        self._graph = StoredGraph.read(content["graph"])
        self._smallest = operator.index(content["smallest"])
        self._state = list(content["state"])
        self._units = {each["name"]: operator.index(each["units"]) for each in self._state if "units" in each}
        self._statistics = [tuple(map(operator.index, each)) for each in content["statistics"]]
        self._has_statistics = bool(content["has_statistics"])
        births = find_births(groups, self.lowest)
        self._stocks = {
            name: Stock(
                Section([_read_entry(each) for each in entries], {} if name.startswith("statistics") else births),
                self._file.offsets[name],
                content["checksums"][name],
                self._file.read,
            )
            for name, entries in content["sections"].items()
        }
        names = [name for name in self._stocks if name.startswith("octave.")]
        self._octaves = [self._stocks[f"octave.{i}"].section.entries for i in range(len(names))]


def load(source: str | Path | RangeReader, width: Width) -> nn.Module:
    """Read the plain network at a width out of a file of `save_elastic`, and no more of the file than that.

    `ElasticFile` does the same for several widths, of which each takes only what those before it left.

    Args:
        source: The path of the file, or an object with `read(offset, length)` that gives ranges of its bytes.
        width: A fraction, a dict of group names, or a point of a curve.

    Raises:
        WidthError: The width is out of range, or below what the file holds.
        ExportError: It cannot be read, is no such file, one of another schema, or damaged.

    Warns:
        WidthWarning: BatchNorm at a width for which the file holds no statistics.
    """
    file = ElasticFile(source)
    return file._load(file.widths(width), stacklevel=2)  # pyright: ignore[reportPrivateUsage]


def _read_entry(data: Sequence[Any]) -> Stored:
    name, dtype, axes = data
    return Stored(name=name, dtype=read_constant("dtype", dtype), axes=tuple(map(read_term, axes)))
