"""What a file already holds of a curve, so that a sweep goes on where it stopped."""

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import final

from widthwise._shared import CurveError
from widthwise.curves.curve import Curve
from widthwise.curves.point import Point

__all__ = ["Header", "Key", "check_folder", "read_started", "widths_key"]

# The widths of a point, as something to look up by.
Key = frozenset[tuple[str, int]]

# Latencies of other machines or versions of torch do not belong in one curve.
_MACHINE = ("processor", "gpu", "system", "torch")


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Header:
    """All that a curve says beside its points; the attributes are those of `Curve`."""

    name: str
    higher_is_better: bool
    fingerprint: str | None
    is_calibrated: bool
    environment: dict[str, object]
    directions: dict[str, bool]

    def make_curve(self, points: Iterable[Point]) -> Curve:
        """Return the curve of these points."""
        return Curve(
            points=tuple(points),
            name=self.name,
            higher_is_better=self.higher_is_better,
            fingerprint=self.fingerprint,
            is_calibrated=self.is_calibrated,
            environment=self.environment,
            directions=self.directions,
        )


def check_folder(path: Path) -> None:
    """Check that there is a folder to write `path` into, before the work and not after the first point of it.

    Raises:
        CurveError: Where there is none.
    """
    if not path.parent.is_dir():
        raise CurveError(f"expected a folder to write {path.name} into, got none at {path.parent}; create it first")


def read_started(path: Path, header: Header, groups: set[str]) -> Curve | None:
    """Return the curve in the file at `path`, where it is an earlier part of this one.

    It is None where there is no file, or where it holds the curve of another model, which is warned of; that file
    stays as it is until something new is written.

    Args:
        path: A file of `Curve.save`.
        header: What the new curve says of itself.
        groups: Names of the width groups.

    Raises:
        CurveError: Where the file is damaged.
    """
    if not path.exists():
        return None
    found = Curve.load(path)
    differences = [what for what, is_different in _compare(found, header, groups).items() if is_different]
    if differences:
        warnings.warn(
            f"expected {path} to hold a curve of this model, got one that differs in {', '.join(differences)}; "
            "every point is measured again, and the file replaced",
            stacklevel=3,
        )
        return None
    return found


def widths_key(widths: Mapping[str, int]) -> Key:
    """Return the widths as something to look up by."""
    return frozenset(widths.items())


def _compare(found: Curve, header: Header, groups: set[str]) -> dict[str, bool]:
    return {
        "weights": found.fingerprint != header.fingerprint,
        "width groups": any(set(point.widths) != groups for point in found),
        "score": (found.name, found.higher_is_better) != (header.name, header.higher_is_better),
        "calibration": found.is_calibrated != header.is_calibrated,
        "machine or version of torch": any(
            found.environment.get(key) != header.environment.get(key) for key in _MACHINE
        ),
    }
