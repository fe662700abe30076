"""The curve of a run as verbs use it: read, picked from, and a point of it in words."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from widthwise._shared import CurveError
from widthwise.cli.output import format_bytes, format_score
from widthwise.curves import Curve, Limits, Point
from widthwise.training import Run

__all__ = [
    "describe_point",
    "describe_widths",
    "export_stem",
    "pick_point",
    "read_curve",
]


def read_curve(run: Path) -> Curve:
    """Return the stored curve of the run in the folder `run`.

    Raises:
        CurveError: Where there is none, or it is damaged.
    """
    path = run / "curve.json"
    if not path.exists():
        raise CurveError(f"expected a curve in {run}, got none; measure it: widthwise curve {run}")
    return Curve.load(path)


def pick_point(curve: Curve, limits: Limits) -> Point:
    """Return the point of the curve to take under the limits; raises NoPointError where none fits."""
    return curve.pick(**asdict(limits))


def describe_widths(widths: Mapping[str, int]) -> str:
    """Return units per group in words.

    Example:
        >>> describe_widths({"fc1": 64, "fc2": 32})
        'fc1 64, fc2 32'
    """
    return ", ".join(f"{group} {kept}" for group, kept in widths.items())


def describe_point(point: Point, curve: Curve) -> str:
    """Return the point in a few lines: widths, scores, and costs beside those of the full width."""
    full = curve.full
    lines = [f"width {point.label}  ({describe_widths(point.widths)})"]
    for name, score in (point.scores or {curve.name: point.score}).items():
        lines.append(f"  {name:<14}{_score(score, name)}{_beside(full, name)}")
    lines.append(f"  {'parameters':<14}{point.params:,}{_share(point.params, full and full.params)}")
    lines.append(f"  {'MACs':<14}{point.macs:,}{_share(point.macs, full and full.macs)}")
    lines.append(f"  {'size':<14}{format_bytes(point.bytes)}{_share(point.bytes, full and full.bytes)}")
    if point.latency_ms is not None:
        lines.append(f"  {'latency':<14}{point.latency_ms:.3f} ms{_share(point.latency_ms, full and full.latency_ms)}")
    return "\n".join(lines)


def export_stem(run: Run, width: float | Point) -> str:
    """Return the name of an exported file without its suffix: recipe and width."""
    if isinstance(width, Point) and width.width is None:
        return f"{run.recipe.name}-w{'-'.join(map(str, width.widths.values()))}"
    fraction = width.width if isinstance(width, Point) else width
    return f"{run.recipe.name}-w{fraction:.4g}"


def _score(score: float, name: str) -> str:
    return format_score(score, "accuracy" if name.endswith("accuracy") else name)


def _beside(full: Point | None, name: str) -> str:
    return f"   (full width {_score(full.scores[name], name)})" if full is not None and name in full.scores else ""


def _share(value: float, full: float | None) -> str:
    return f"   ({value / full:.1%} of full width)" if full else ""
