"""A curve: the points of one trained elastic model, as a value that prints, is saved, and is picked from."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar, cast, final

from widthwise._shared import CurveError, read_json, write_json
from widthwise.curves.cells import align_cells
from widthwise.curves.cost import Cost, check_cost
from widthwise.curves.front import find_front
from widthwise.curves.pick import Limits, choose_point
from widthwise.curves.point import Point
from widthwise.curves.table import make_cells

__all__ = ["SCHEMA", "Curve"]

# Version of the file. Raise it when a reader of the old form would misread the new one.
SCHEMA = 1

_Kind = TypeVar("_Kind")


@final
@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class Curve:
    """Score and costs of an elastic model at several widths. It prints as a table.

    Attributes:
        points: From the fewest parameters to the most, whatever the order they are given in.
        name: Word for the score.
        higher_is_better: Which way the score goes.
        fingerprint: Tells the weights that were measured from others; None where that was not asked for.
        is_calibrated: Whether BatchNorm statistics were measured again at each width.
        environment: Versions and machine that the numbers come from.
        directions: For every score of the points by name, whether higher is better; `name` is always among them.

    Raises:
        CurveError: Where there is no point, or two of the same widths.
    """

    points: tuple[Point, ...]
    name: str = "score"
    higher_is_better: bool = True
    fingerprint: str | None = None
    is_calibrated: bool = False
    environment: dict[str, object] = field(default_factory=dict[str, object])
    directions: dict[str, bool] = field(default_factory=dict[str, bool])

    def __post_init__(self) -> None:
        """Put the points in order, and refuse a curve that cannot be picked from."""
        ordered = tuple(sorted(self.points, key=lambda point: (point.params, point.macs, point.label)))
        if not ordered:
            raise CurveError("expected a curve of at least one point, got none; measure it at one width or more")
        for index, point in enumerate(ordered):
            if any(point.widths == other.widths for other in ordered[:index]):
                raise CurveError(
                    f"expected each widths once in a curve, got {point.label} twice; leave one of the two out"
                )
        object.__setattr__(self, "points", ordered)
        object.__setattr__(self, "directions", {**self.directions, self.name: self.higher_is_better})

    @property
    def full(self) -> Point | None:
        """The point at full width, None where it was not measured."""
        return next((point for point in self.points if point.width == 1.0), None)

    def pick(
        self,
        *,
        max_params: int | None = None,
        max_macs: int | None = None,
        max_bytes: int | None = None,
        max_latency_ms: float | None = None,
        max_memory: int | None = None,
        min_score: float | None = None,
        max_drop: float | str | None = None,
    ) -> Point:
        """Return the best point under limits on cost, or the smallest under limits on quality; they may be combined.

        Stored numbers decide, nothing is measured. With any `max_` limit on cost it is the best score among the points
        that keep to every limit; with `min_score` or `max_drop` alone it is the fewest parameters among them. Equals:
        fewer parameters.

        Args:
            max_params: Most parameters.
            max_macs: Most multiply-accumulate operations per sample.
            max_bytes: Largest .safetensors file, as `export` writes it.
            max_latency_ms: Longest median time of one pass, batch 1, one thread.
            max_memory: Most bytes that the values of one pass take at a time, at batch 1; weights come on top.
            min_score: Worst score: the least where higher is better, else the greatest.
            max_drop: Most that the score may be worse than at full width, in its own unit, or relative to it as in
                "1%".

        Raises:
            NoPointError: Where no point keeps to the limits; it names the nearest one.
            CurveError: Where no limit is set or one makes no sense, or the curve lacks what a limit speaks of.
        """
        limits = Limits(
            max_params=max_params,
            max_macs=max_macs,
            max_bytes=max_bytes,
            max_latency_ms=max_latency_ms,
            max_memory=max_memory,
            min_score=min_score,
            max_drop=max_drop,
        )
        return choose_point(self.points, limits, higher_is_better=self.higher_is_better)

    def front(self, cost: Cost = "params") -> "Curve":
        """Return the curve of the points that no other beats: none that costs no more and scores no less.

        Args:
            cost: "params", "macs", "bytes", "memory_bytes" or "latency_ms".

        Raises:
            CurveError: Where a point does not know that cost.

        Example:
            >>> small, dear, good = (
            ...     Point(width=None, widths={"fc1": n}, score=score, params=n, macs=n, bytes=n)
            ...     for n, score in ((1, 0.5), (2, 0.4), (3, 0.6))
            ... )
            >>> [point.params for point in Curve(points=(small, dear, good)).front()]
            [1, 3]
        """
        found = find_front(self.points, check_cost(cost), higher_is_better=self.higher_is_better)
        return replace(self, points=tuple(found))

    def cells(self) -> list[list[str]]:
        """Return the table as rows of text, the first one the header."""
        return make_cells(self.points, self.name)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the curve to `path` as JSON, in one step.

        Raises:
            CurveError: Where the file cannot be written.
        """
        write_json(path, self.to_dict(), error=CurveError)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Curve":
        """Return the curve that `save` wrote to `path`.

        Raises:
            CurveError: Where the file is missing, damaged or of another schema.
        """
        content = read_json(path, schema=SCHEMA, what="curve", error=CurveError)
        try:
            return cls.from_dict(content)
        except CurveError as cause:
            raise CurveError(f"curve: {path}: {cause}") from cause

    def to_dict(self) -> dict[str, object]:
        """Return plain numbers, strings, lists and dicts that say everything about the curve."""
        return {
            "schema": SCHEMA,
            "name": self.name,
            "higher_is_better": self.higher_is_better,
            "fingerprint": self.fingerprint,
            "is_calibrated": self.is_calibrated,
            "environment": dict(self.environment),
            "directions": dict(self.directions),
            "points": [point.to_dict() for point in self.points],
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, object]) -> "Curve":
        """Return the curve that `to_dict` turned into `content`.

        Raises:
            CurveError: Where an entry is missing or is not of its type.
        """
        fingerprint = content.get("fingerprint")
        points = _entry(content, "points", list, "a list")
        return cls(
            points=tuple(_point(point) for point in cast("list[object]", points)),
            name=_entry(content, "name", str, "a string"),
            higher_is_better=_entry(content, "higher_is_better", bool, "true or false"),
            fingerprint=None if fingerprint is None else _entry(content, "fingerprint", str, "a string"),
            is_calibrated=_entry(content, "is_calibrated", bool, "true or false"),
            environment=cast("dict[str, object]", _entry(content, "environment", dict, "an object")),
            directions=_directions(content.get("directions", {})),
        )

    def __len__(self) -> int:
        return len(self.points)

    def __iter__(self) -> Iterator[Point]:
        return iter(self.points)

    def __str__(self) -> str:
        return align_cells(self.cells())

    def __repr__(self) -> str:
        direction = "higher" if self.higher_is_better else "lower"
        widths = "1 width" if len(self) == 1 else f"{len(self)} widths"
        return f"{self.name} at {widths}, {direction} is better\n{self}"


def _point(content: object) -> Point:
    if not isinstance(content, dict):
        raise CurveError(f"expected points to be objects, got {content!r}; the curve is damaged: measure it again")
    return Point.from_dict(cast("dict[str, object]", content))


def _directions(value: object) -> dict[str, bool]:
    found: dict[str, object] = _entry({"directions": value}, "directions", dict, "an object")
    return {name: _entry(found, name, bool, "true or false") for name in found}


def _entry(content: Mapping[str, object], key: str, kind: type[_Kind], expected: str) -> _Kind:
    value = content.get(key)
    if not isinstance(value, kind):
        raise CurveError(f"expected {key} to be {expected}, got {value!r}; the curve is damaged: measure it again")
    return value
