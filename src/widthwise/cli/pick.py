"""`widthwise pick`: a point under a budget, from stored numbers, or by evidence from the validation samples."""

from pathlib import Path

import typer

from widthwise.cli.options import (
    AsJson,
    DataFolder,
    MaxBytes,
    MaxDrop,
    MaxLatency,
    MaxMacs,
    MaxMemory,
    MaxParams,
    MinScore,
    RunFolder,
    Source,
    make_limits,
)
from widthwise.cli.output import make_table, say, say_json
from widthwise.cli.points import describe_point, open_run, pick_point, read_curve
from widthwise.cli.proof import Confidence, prove_point
from widthwise.curves import Curve, Evidence, Point

__all__ = ["EXAMPLE", "pick"]

EXAMPLE = "widthwise pick runs/mnist --max-drop 0.01 --confidence 0.95"


def pick(
    run: RunFolder,
    max_params: MaxParams = None,
    max_macs: MaxMacs = None,
    max_bytes: MaxBytes = None,
    max_latency_ms: MaxLatency = None,
    max_memory: MaxMemory = None,
    min_score: MinScore = None,
    max_drop: MaxDrop = None,
    confidence: Confidence = None,
    source: Source = "curve",
    data: DataFolder = None,
    as_json: AsJson = False,
) -> None:
    """Print the point of a run to take under a budget; exits 3 and names the nearest where none fits.

    Under limits on cost it is the best score of the curve, under limits on quality alone the fewest parameters; nothing
    is measured. With --confidence it is the smallest network whose drop is proven on the validation samples.
    """
    limits = make_limits(
        max_params=max_params,
        max_macs=max_macs,
        max_bytes=max_bytes,
        max_latency_ms=max_latency_ms,
        max_memory=max_memory,
        min_score=min_score,
        max_drop=max_drop,
    )
    if limits is None:
        raise typer.BadParameter("expected a budget, got none; give --max-params, --max-drop or another limit")
    if confidence is not None:
        _say_proven(run, prove_point(open_run(run), limits, confidence, data), as_json=as_json)
        return
    if data is not None:
        raise typer.BadParameter("expected --data with --confidence, got it alone; leave it out, stored numbers decide")
    curve = read_curve(run, source)
    point = pick_point(curve, limits, as_json=as_json)
    if as_json:
        say_json(point.to_dict())
        return
    say(describe_point(point, curve))
    # Bytes are those of .safetensors; another format may be over the budget.
    if source == "curve":
        _say_next(run, point, "onnx" if max_bytes is None else "safetensors")


def _say_proven(run: Path, point: Point, *, as_json: bool) -> None:
    if as_json:
        say_json(point.to_dict())
        return
    assert point.evidence is not None
    say(make_table(point.evidence.cells()))
    say(_describe_evidence(point, point.evidence))
    say(describe_point(point, Curve(points=(point,), name=next(iter(point.scores)))))
    _say_next(run, point, "onnx")


def _describe_evidence(point: Point, evidence: Evidence) -> str:
    sure = f"drop <= {evidence.max_drop} with confidence {evidence.confidence:g}"
    words = f"no narrower network is proven to have a {sure}: full width" if point.width == 1.0 else f"{sure}: proven"
    return (
        f"{words}; {evidence.num_samples:,} forward passes of samples, {evidence.num_full:,} of them at full width, "
        f"{evidence.num_available:,} samples there\n"
    )


def _say_next(run: Path, point: Point, file_format: str) -> None:
    if point.width is not None:
        say(f"next: widthwise export {run} --width {point.width:.6g} --format {file_format}")
