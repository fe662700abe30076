"""`widthwise pick`: a point of the curve under a budget, from stored numbers alone."""

import typer

from widthwise.cli.options import (
    AsJson,
    MaxBytes,
    MaxDrop,
    MaxLatency,
    MaxMacs,
    MaxMemory,
    MaxParams,
    MinScore,
    RunFolder,
    make_limits,
)
from widthwise.cli.output import say, say_json
from widthwise.cli.points import describe_point, pick_point, read_curve

__all__ = ["EXAMPLE", "pick"]

EXAMPLE = "widthwise pick runs/mnist --max-params 20000"


def pick(
    run: RunFolder,
    max_params: MaxParams = None,
    max_macs: MaxMacs = None,
    max_bytes: MaxBytes = None,
    max_latency_ms: MaxLatency = None,
    max_memory: MaxMemory = None,
    min_score: MinScore = None,
    max_drop: MaxDrop = None,
    as_json: AsJson = False,
) -> None:
    """Print the point of a run's curve to take under a budget; exits 3 and names the nearest where none fits.

    Under limits on cost it is the best score, under limits on quality alone the fewest parameters. Nothing is measured.
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
    curve = read_curve(run)
    point = pick_point(curve, limits, as_json=as_json)
    if as_json:
        say_json(point.to_dict())
        return
    say(describe_point(point, curve))
    if point.width is not None:
        # Bytes are those of .safetensors; another format may be over the budget.
        file_format = "onnx" if max_bytes is None else "safetensors"
        say(f"next: widthwise export {run} --width {point.width:.6g} --format {file_format}")
