"""The curve of a run as verbs use it: read, picked from, and a point of it in words."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Literal

from widthwise._shared import CurveError, NoPointError, RunError
from widthwise.cli.output import format_bytes, format_score, say_json
from widthwise.curves import Curve, Limits, Point
from widthwise.curves.pick import find_nearest
from widthwise.training import Run

__all__ = [
    "describe_point",
    "describe_widths",
    "export_stem",
    "open_run",
    "pick_point",
    "read_curve",
    "say_refusal",
]

_MOST_NAMED = 6


def open_run(path: Path) -> Run:
    """Return the run in a folder.

    Raises:
        RunError: Where there is none, with those that there are, or it is damaged.
    """
    if not Run.exists(path):
        raise RunError(_describe_missing(path))
    return Run.open(path)


def read_curve(run: Path, source: Literal["curve", "search"] = "curve") -> Curve:
    """Return the stored curve of the run in the folder `run`, or the points that a search found.

    Raises:
        CurveError: Where there is none, or it is damaged.
        RunError: Where there is no such run.
    """
    path = run / f"{source}.json"
    if not path.exists():
        if not Run.exists(run):
            raise RunError(_describe_missing(run))
        if source == "search":
            raise CurveError(f"expected a search in {run}, got none; make one: widthwise search {run} --max-macs N")
        raise CurveError(f"expected a curve in {run}, got none; measure it: widthwise curve {run}")
    try:
        return Curve.load(path)
    except CurveError as cause:
        way_out = f"`widthwise curve {run}` measures it anew" if source == "curve" else "move it away, and search again"
        raise CurveError(f"{cause}; {way_out}") from cause


def pick_point(curve: Curve, limits: Limits, *, as_json: bool = False) -> Point:
    """Return the point of the curve to take under the limits.

    Raises:
        NoPointError: Where none fits; as JSON it has been told already.
    """
    try:
        return curve.pick(**asdict(limits))
    except NoPointError as error:
        if as_json:
            say_refusal(error, find_nearest(curve.points, limits, higher_is_better=curve.higher_is_better))
        raise


def say_refusal(error: NoPointError, nearest: Point) -> None:
    """Print as JSON that nothing fits, and what comes nearest."""
    say_json({"error": str(error), "nearest": nearest.to_dict()})


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
    words = describe_widths(point.widths)
    lines = [f"widths {words}" if point.width is None else f"width {point.label}  ({words})"]
    for name, score in (point.scores or {curve.name: point.score}).items():
        lines.append(f"  {name:<14}{format_score(score, name)}{_beside(full, name)}")
    lines.append(f"  {'parameters':<14}{point.params:,}{_share(point.params, full and full.params)}")
    lines.append(f"  {'MACs':<14}{point.macs:,}{_share(point.macs, full and full.macs)}")
    lines.append(f"  {'size':<14}{format_bytes(point.bytes)}{_share(point.bytes, full and full.bytes)}")
    if point.memory_bytes is not None:
        memory = f"{format_bytes(point.memory_bytes)}{_share(point.memory_bytes, full and full.memory_bytes)}"
        lines.append(f"  {'activations':<14}{memory}")
    if point.latency_ms is not None:
        lines.append(f"  {'latency':<14}{point.latency_ms:.3f} ms{_share(point.latency_ms, full and full.latency_ms)}")
    return "\n".join(lines)


def export_stem(run: Run, width: float | Point) -> str:
    """Return the name of an exported file without its suffix: recipe and width."""
    if isinstance(width, Point) and width.width is None:
        return f"{run.recipe.name}-w{'-'.join(map(str, width.widths.values()))}"
    fraction = width.width if isinstance(width, Point) else width
    return f"{run.recipe.name}-w{fraction:.4g}"


def _describe_missing(run: Path) -> str:
    # Of all places where someone who forgot a name, or the folder before it, would have put runs.
    folders = dict.fromkeys((run, run.parent, Path("runs")))
    found = [str(file.parent) for folder in folders for file in sorted(folder.glob("*/run.json"))]
    known = ", ".join([*found[:_MOST_NAMED], *(["..."] if len(found) > _MOST_NAMED else [])])
    there = f"take one of {known}, or make one" if found else "make one"
    return f"expected a run directory {run} with a run.json, got none; {there}: widthwise train RECIPE --out {run}"


def _beside(full: Point | None, name: str) -> str:
    return f"   (full width {format_score(full.scores[name], name)})" if full and name in full.scores else ""


def _share(value: float, full: float | None) -> str:
    return f"   ({value / full:.1%} of full width)" if full else ""
