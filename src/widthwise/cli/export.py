"""`widthwise export`: one network of a run as a file to take home."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from widthwise.cli.options import (
    AsJson,
    DataFolder,
    MaxBytes,
    MaxDrop,
    MaxLatency,
    MaxMacs,
    MaxParams,
    MinScore,
    RunFolder,
    make_limits,
)
from widthwise.cli.output import format_bytes, say, say_json
from widthwise.cli.points import describe_widths, export_stem, pick_point, read_curve
from widthwise.curves import Limits, Point
from widthwise.elastic import Elastic
from widthwise.elastic import export as export_file
from widthwise.graph import Example
from widthwise.slicing import Exported
from widthwise.training import Run, calibration_batches
from widthwise.zoo import DataSplits

__all__ = ["EXAMPLE", "describe_export", "export", "write_export"]

EXAMPLE = "widthwise export runs/mnist --width 0.25 --format onnx"

_NUM_COMPARED = 256

Format = Literal["safetensors", "onnx", "pt2", "pt"]
Width = Annotated[
    float | None, typer.Option("--width", metavar="F", help="Fraction of full width, in place of a budget.")
]
FormatName = Annotated[
    Format | None,
    typer.Option("--format", help="Kind of file; where not given, what --out ends in, else safetensors."),
]
Out = Annotated[Path | None, typer.Option("--out", metavar="FILE", help="The file; else a name in RUN/exports.")]


def export(
    run: RunFolder,
    width: Width = None,
    file_format: FormatName = None,
    out: Out = None,
    max_params: MaxParams = None,
    max_macs: MaxMacs = None,
    max_bytes: MaxBytes = None,
    max_latency_ms: MaxLatency = None,
    min_score: MinScore = None,
    max_drop: MaxDrop = None,
    data: DataFolder = None,
    as_json: AsJson = False,
) -> None:
    """Write the network of a width, or of the point that a budget picks, to a file that is read back and compared."""
    limits = make_limits(
        max_params=max_params,
        max_macs=max_macs,
        max_bytes=max_bytes,
        max_latency_ms=max_latency_ms,
        min_score=min_score,
        max_drop=max_drop,
    )
    suffix = _choose_suffix(file_format, out)
    chosen = _choose(run, width, limits)
    opened = Run.open(run)
    model = opened.load_model()
    path = out or opened.exports_path / f"{export_stem(opened, chosen)}{suffix}"
    exported = write_export(opened, model, chosen, path, splits=opened.load_data(data))
    if as_json:
        say_json({**exported_dict(exported), "widths": model.widths(chosen)})
    else:
        label = chosen.label if isinstance(chosen, Point) else f"{chosen:.4g}"
        say(f"width {label}  ({describe_widths(model.widths(chosen))})")
        say(describe_export(exported))


def write_export(run: Run, model: Elastic, width: float | Point, path: Path, *, splits: DataSplits) -> Exported:
    """Return the checked file of the network at `width`, compared with the network on samples of the validation split.

    BatchNorm is recalibrated as for the curve, so the file is the network that was scored.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    inputs = splits.validation.tensors[0][:_NUM_COMPARED]
    is_full = model.widths(width) == model.widths(1.0)
    return export_file(
        model,
        width,
        path,
        calibrate=None if is_full else calibration_batches(splits, run.recipe.training.seed),
        inputs=[Example(args=(part,), kwargs={}) for part in (inputs, inputs[:1])],
    )


def exported_dict(exported: Exported) -> dict[str, object]:
    """Return what is known of a file as plain values, for JSON."""
    return {
        "path": str(exported.path),
        "bytes": exported.size_bytes,
        "max_difference": exported.max_difference,
        "num_compared": exported.num_inputs,
    }


def describe_export(exported: Exported) -> str:
    """Return the file, its size, and how near its outputs are to the run's, in two lines."""
    return (
        f"written: {exported.path}, {format_bytes(exported.size_bytes)}\n"
        f"read back and compared with the run on {exported.num_inputs} validation inputs: outputs differ by at most "
        f"{exported.max_difference:.1g} of the largest"
    )


def _choose(run: Path, width: float | None, limits: Limits | None) -> float | Point:
    if width is not None and limits is None:
        return width
    if width is None and limits is not None:
        return pick_point(read_curve(run), limits)
    got = "none of them" if width is None else "both"
    raise typer.BadParameter(f"expected a --width or a budget such as --max-params, got {got}; give one")


def _choose_suffix(file_format: Format | None, out: Path | None) -> str:
    suffix = None if file_format is None else f".{file_format}"
    if out is None:
        return suffix or ".safetensors"
    if suffix is not None and out.suffix != suffix:
        raise typer.BadParameter(f"expected --out to end in {suffix}, got {out}; leave out --format or change the name")
    return out.suffix
