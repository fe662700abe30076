"""What a search knows so far: scores and latencies by widths, and the points measured in full; kept in a file.

The file is that of a curve, with one entry more, so that whatever reads curves reads the result of a search.
"""

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast, final

from widthwise._shared import CurveError, read_json, write_json
from widthwise.curves.curve import SCHEMA, Curve
from widthwise.curves.groupwise.lattice import Units
from widthwise.curves.point import Point
from widthwise.curves.resume import Header, check_folder
from widthwise.measure import Latency

__all__ = ["Ledger"]

Timing = tuple[float, float, float, str]
"""Median, 10th and 90th percentile in milliseconds, and the device."""

_ENTRY = "search"
_REMEDY = "the file is damaged: move it away, and search again"


@final
@dataclass(kw_only=True, slots=True)
class Ledger:
    """Scores, latencies and points of a search.

    Attributes:
        header: All that its curve says beside the points.
        groups: Names of the width groups.
        num_samples: Of the score on the way; None where it is the whole one.
        path: Where it is written; None for nowhere.
        scores: On the way, by widths.
        latencies: By widths.
        points: Measured in full, by widths.
    """

    header: Header
    groups: tuple[str, ...]
    num_samples: int | None
    path: Path | None = None
    scores: dict[Units, float] = field(default_factory=dict[Units, float])
    latencies: dict[Units, Timing] = field(default_factory=dict[Units, Timing])
    points: dict[Units, Point] = field(default_factory=dict[Units, Point])

    def add_point(self, point: Point) -> None:
        """Keep a point, and write the file."""
        self.points[self.key(point)] = point
        self.save()

    def add_score(self, units: Units, score: float) -> None:
        """Keep a score, and write the file."""
        self.scores[units] = score
        self.save()

    def add_latency(self, units: Units, latency: Latency) -> None:
        """Keep a latency; it is written with the next score."""
        self.latencies[units] = (latency.median_ms, latency.low_ms, latency.high_ms, latency.device)

    def key(self, point: Point) -> Units:
        """Return the widths of a point in the order of the groups."""
        return tuple(point.widths[group] for group in self.groups)

    def make_curve(self) -> Curve:
        """Return the curve of the points."""
        return self.header.make_curve(self.points.values())

    def save(self) -> None:
        """Write the file, in one step; without a point there is nothing to write yet."""
        if self.path is None or not self.points:
            return
        content: dict[str, object] = {
            "groups": list(self.groups),
            "num_samples": self.num_samples,
            "scores": {_write(units): score for units, score in self.scores.items()},
            "latencies": {_write(units): " ".join(map(str, each)) for units, each in self.latencies.items()},
        }
        write_json(self.path, {**self.make_curve().to_dict(), _ENTRY: content}, error=CurveError)

    def read(self, points: Iterable[Point]) -> None:
        """Take over points that the file was found to hold of the same model, and the scores and latencies beside them.

        Raises:
            CurveError: Where these are damaged, or there is no folder for the file.

        Warns:
            UserWarning: Where the scores are of other samples.
        """
        self.points = {self.key(point): point for point in points}
        if self.path is None:
            return
        check_folder(self.path)
        if not self.points:
            return
        found = read_json(self.path, schema=SCHEMA, what="search", error=CurveError).get(_ENTRY)
        if found is None:
            # A curve that was drawn into this file has points to go on with, and nothing else.
            return
        try:
            content = cast("Mapping[str, object]", found)
            latencies = cast("Mapping[str, str]", content["latencies"])
            scores = cast("Mapping[str, float]", content["scores"])
            if content["groups"] != list(self.groups):
                raise ValueError("other groups")
            self.latencies = {_read(key): _numbers(text) for key, text in latencies.items()}
            if content["num_samples"] == self.num_samples:
                self.scores = {_read(key): float(score) for key, score in scores.items()}
            else:
                warnings.warn(
                    f"expected {self.path} to hold scores on {_samples(self.num_samples)}, got them on "
                    f"{_samples(content['num_samples'])}; every network is scored again on the way",
                    stacklevel=3,
                )
        except (KeyError, TypeError, ValueError, AttributeError) as cause:
            raise CurveError(f"search: expected scores by widths in {self.path}, got {cause!r}; {_REMEDY}") from cause


def _samples(count: object) -> str:
    return "all samples" if count is None else f"at most {count} samples"


def _write(units: Units) -> str:
    return " ".join(map(str, units))


def _read(key: str) -> Units:
    return tuple(map(int, key.split()))


def _numbers(text: str) -> Timing:
    median, low, high, device = text.split()
    return float(median), float(low), float(high), device
