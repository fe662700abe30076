"""`widthwise export`: one network of a run as a file to take home."""

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Literal

import typer

from widthwise._shared import ExportError, NoPointError, replace_file
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
    make_limits,
)
from widthwise.cli.output import format_bytes, say, say_json
from widthwise.cli.points import describe_widths, export_stem, open_run, pick_point, read_curve, say_refusal
from widthwise.curves import Limits, Point
from widthwise.elastic import Elastic
from widthwise.elastic import export as export_file
from widthwise.slicing import Exported
from widthwise.slicing.formats import find_format
from widthwise.training import Run, Splits, build_task

__all__ = ["EXAMPLE", "describe_export", "export", "write_export"]

EXAMPLE = "widthwise export runs/mnist --width 0.25 --format onnx"

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
    max_memory: MaxMemory = None,
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
        max_memory=max_memory,
        min_score=min_score,
        max_drop=max_drop,
    )
    suffix = _choose_suffix(file_format, out)
    chosen = _choose(run, width, limits, as_json=as_json)
    opened = open_run(run)
    model = opened.load_model()
    widths = model.widths(chosen)
    path = out or opened.exports_path / f"{export_stem(opened, chosen)}{suffix}"
    try:
        exported = write_export(opened, model, chosen, path, splits=opened.load_data(data), max_bytes=max_bytes)
    except NoPointError as error:
        if as_json and isinstance(chosen, Point):
            say_refusal(error, chosen)
        raise
    if as_json:
        say_json({**exported_dict(exported), "widths": widths})
    else:
        say(f"width {_label(chosen)}  ({describe_widths(widths)})")
        say(describe_export(exported))


def write_export(
    run: Run, model: Elastic, width: float | Point, path: Path, *, splits: Splits, max_bytes: int | None = None
) -> Exported:
    """Return the checked file of the network at `width`, compared with the network on samples of the validation split.

    BatchNorm is recalibrated as for the curve, so the file is the network that was scored.

    Raises:
        NoPointError: Where the file is larger than `max_bytes`; it is not kept, and what stood at `path` stays.
        ExportError: Where the folder of `path` cannot be made, or as `widthwise.export` says.
    """
    _make_folder(path)
    if max_bytes is None:
        return _write(run, model, width, path, splits)
    # Under its own name, which some formats write down, but in a folder apart until its size is known.
    with replace_file(path, error=ExportError) as temporary, TemporaryDirectory(dir=path.parent, prefix=".") as folder:
        exported = _write(run, model, width, Path(folder) / path.name, splits)
        if exported.size_bytes > max_bytes:
            raise NoPointError(
                f"expected a file of at most {max_bytes:,} bytes, got {exported.size_bytes:,} as {path.suffix} at "
                f"width {_label(width)}; it was not kept: take --format safetensors, or a narrower --width"
            )
        exported.path.replace(temporary)
    return replace(exported, path=path)


def _write(run: Run, model: Elastic, width: float | Point, path: Path, splits: Splits) -> Exported:
    task = build_task(run.recipe, splits, model.net)
    is_full = model.widths(width) == model.widths(1.0)
    return export_file(
        model,
        width,
        path,
        calibrate=None if is_full else task.calibration_batches(),
        inputs=task.compared_inputs(),
    )


def exported_dict(exported: Exported) -> dict[str, object]:
    """Return what is known of a file as plain values, for JSON."""
    return {
        "path": str(exported.path),
        "bytes": exported.size_bytes,
        "max_difference": exported.max_difference,
        "num_compared": _num_distinct(exported),
    }


def describe_export(exported: Exported) -> str:
    """Return the file, its size, and how near its outputs are to the run's, in two lines."""
    return (
        f"written: {exported.path}, {format_bytes(exported.size_bytes)}\n"
        f"read back and compared with the run on {_num_distinct(exported)} validation inputs, together and one alone: "
        f"outputs differ by at most {exported.max_difference:.1g} of the largest"
    )


def _num_distinct(exported: Exported) -> int:
    # The first input is compared a second time, alone.
    return exported.num_inputs - 1


def _label(width: float | Point) -> str:
    return width.label if isinstance(width, Point) else f"{width:.4g}"


def _make_folder(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as cause:
        file = next((place for place in path.parents if place.is_file()), None)
        got = f"the file {file}" if file is not None else f"{cause.strerror} at {path.parent}"
        raise ExportError(
            f"expected a folder to write {path.name} into, got {got}; give --out in another folder"
        ) from cause


def _choose(run: Path, width: float | None, limits: Limits | None, *, as_json: bool) -> float | Point:
    if width is not None and limits is None:
        return width
    if width is None and limits is not None:
        return pick_point(read_curve(run), limits, as_json=as_json)
    got = "none of them" if width is None else "both"
    raise typer.BadParameter(f"expected a --width or a budget such as --max-params, got {got}; give one")


def _choose_suffix(file_format: Format | None, out: Path | None) -> str:
    suffix = None if file_format is None else f".{file_format}"
    if out is None:
        return suffix or ".safetensors"
    if suffix is not None and out.suffix != suffix:
        raise typer.BadParameter(f"expected --out to end in {suffix}, got {out}; leave out --format or change the name")
    try:
        find_format(out)
    except ExportError as cause:
        raise typer.BadParameter(str(cause)) from cause
    return out.suffix
