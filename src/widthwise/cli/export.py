"""`widthwise export`: one network of a run as a file to take home."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from widthwise._shared import CurveError, ExportError, NoPointError
from widthwise.cli.all_widths import describe_all_widths, write_all_widths
from widthwise.cli.finish import DtypeOption, Finetune, Finish, RefitHead
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
from widthwise.cli.output import format_bytes, format_score, say, say_json
from widthwise.cli.points import describe_widths, export_stem, open_run, pick_point, read_curve, say_refusal
from widthwise.cli.proof import Confidence, prove_point
from widthwise.curves import Curve, Limits, Point
from widthwise.elastic import Elastic
from widthwise.elastic import export as export_file
from widthwise.slicing import Exported
from widthwise.slicing.formats import find_format
from widthwise.training import Run, Splits, Task, build_task, labelled_batches

__all__ = ["EXAMPLE", "describe_export", "export", "write_export"]

EXAMPLE = "widthwise export runs/mnist --width 0.25 --format onnx"

Format = Literal["safetensors", "onnx", "pt2", "pte", "pt", "hf"]
Width = Annotated[
    float | None, typer.Option("--width", metavar="F", help="Fraction of full width, in place of a budget.")
]
AllWidths = Annotated[
    bool, typer.Option("--all-widths", help="One .safetensors or .onnx file with every width, in place of one of them.")
]
FormatName = Annotated[
    Format | None,
    typer.Option(
        "--format",
        help="Kind of file, hf a folder of Hugging Face; where not given, what --out ends in, or safetensors.",
    ),
]
Out = Annotated[Path | None, typer.Option("--out", metavar="FILE", help="The file; else a name in RUN/exports.")]


def export(
    run: RunFolder,
    width: Width = None,
    all_widths: AllWidths = False,
    file_format: FormatName = None,
    out: Out = None,
    dtype: DtypeOption = None,
    refit_head: RefitHead = False,
    finetune: Finetune = None,
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
    finish = Finish(dtype=dtype, refit_head=refit_head, epochs=finetune)
    if all_widths:
        is_alone = width is None and limits is None and confidence is None and not finish.is_asked
        _export_all(run, suffix, out, data=data, as_json=as_json, is_alone=is_alone)
        return
    proof = None if confidence is None else (confidence, data)
    chosen = _choose(run, width, limits, source, proof, as_json=as_json)
    _export(run, chosen, out, suffix, finish, data=data, max_bytes=max_bytes, as_json=as_json)


def _export_all(run: Path, suffix: str, out: Path | None, *, data: Path | None, as_json: bool, is_alone: bool) -> None:
    if not is_alone:
        raise typer.BadParameter("expected --all-widths alone, got what speaks of one width beside it; leave one out")
    if suffix not in (".safetensors", ".onnx"):
        raise typer.BadParameter(
            f"expected a .safetensors or .onnx file of all widths, got {suffix}; leave out --format, or --all-widths"
        )
    opened = open_run(run)
    model = opened.load_model()
    path = out or opened.exports_path / f"{opened.recipe.name}-all{suffix}"
    _make_folder(path)
    saved = write_all_widths(opened, model, path, splits=opened.load_data(data))
    if as_json:
        say_json({"path": str(saved.path), "bytes": saved.size_bytes, "lowest": dict(saved.lowest)})
    else:
        say(describe_all_widths(saved))


def _export(
    folder: Path,
    chosen: float | Point,
    out: Path | None,
    suffix: str,
    finish: Finish,
    *,
    data: Path | None,
    max_bytes: int | None,
    as_json: bool,
) -> None:
    run = open_run(folder)
    path = out or run.exports_path / f"{export_stem(run, chosen)}{suffix}"
    model = run.load_model()
    # A width that there is not is told before data is read.
    widths, splits = model.widths(chosen), run.load_data(data)
    try:
        named = f"{path}/" if suffix == "/" else path
        exported = write_export(run, model, chosen, named, splits=splits, finish=finish, max_bytes=max_bytes)
    except NoPointError as error:
        if as_json and isinstance(chosen, Point):
            say_refusal(error, chosen)
        raise
    scores = _score(build_task(run.recipe, splits, model.net), exported) if finish.is_asked else {}
    if as_json:
        say_json({**exported_dict(exported), "widths": widths, **({"scores": scores} if scores else {})})
        return
    say(f"width {_label(chosen)}  ({describe_widths(widths)})")
    say(describe_export(exported))
    for name, score in scores.items():
        say(f"{name} of the file on the validation split, in its own runtime: {format_score(score, name)}")


def write_export(
    run: Run,
    model: Elastic,
    width: float | Point,
    path: str | Path,
    *,
    splits: Splits,
    finish: Finish | None = None,
    max_bytes: int | None = None,
) -> Exported:
    """Return the checked file of the network at `width`, compared with the network on samples of the validation split.

    BatchNorm is recalibrated as for the curve, so the file is the network that was scored, but for what finishes it.

    Raises:
        NoPointError: Where the file is larger than `max_bytes`; it is not kept, and what stood at `path` stays.
        ExportError: Where the folder of `path` cannot be made, or as `widthwise.export` says.
    """
    _make_folder(Path(path))
    finish = finish or Finish()
    task = build_task(run.recipe, splits, model.net)
    is_own = model.law.runs_full and model.widths(width) == model.widths(1.0)
    return export_file(
        model,
        _find_point(run, model, width),
        path,
        dtype=finish.dtype,
        calibrate=None if is_own and finish.dtype != "int8" else task.calibration_batches(),
        refit=labelled_batches(splits) if finish.refit_head else None,
        finish=finish.make_training(run, splits),
        inputs=task.compared_inputs(),
        max_bytes=max_bytes,
        facts={"run": run.path.resolve().name, "recipe": run.recipe.name},
    )


def _find_point(run: Run, model: Elastic, width: float | Point) -> float | Point:
    """Return the point of the run's curve at a width, which knows its scores; the width where there is none."""
    if isinstance(width, Point) or not run.curve_path.exists():
        return width
    try:
        points = Curve.load(run.curve_path).points
    except CurveError:
        # The curve is not what was asked for, and the next verb that needs it tells of the damage.
        return width
    widths = model.widths(width)
    return next((point for point in points if point.widths == widths), width)


def _score(task: Task, exported: Exported) -> dict[str, float]:
    score = task.score()
    return {score.name: score(exported.net)}


def exported_dict(exported: Exported) -> dict[str, object]:
    """Return what is known of a file as plain values, for JSON."""
    return {
        "path": str(exported.path),
        "neighbours": [str(path) for path in exported.neighbours],
        "bytes": exported.size_bytes,
        "max_difference": exported.max_difference,
        "num_compared": _num_distinct(exported),
    }


def describe_export(exported: Exported) -> str:
    """Return the file, its size, and how near its outputs are to the run's, in two lines."""
    beside = f", beside it {', '.join(path.name for path in exported.neighbours)}" if exported.neighbours else ""
    return (
        f"written: {exported.path}, {format_bytes(exported.size_bytes)}{beside}\n"
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


def _choose(
    run: Path,
    width: float | None,
    limits: Limits | None,
    source: Literal["curve", "search"],
    proof: tuple[float, Path | None] | None,
    *,
    as_json: bool,
) -> float | Point:
    """Return the width that was given, or the point that a budget picks; by evidence with a confidence and data."""
    if proof is not None:
        if width is not None or limits is None or source != "curve":
            got = "no limit" if limits is None else "--from search" if width is None else "--width"
            raise typer.BadParameter(
                f"expected --confidence with --max-drop alone, got {got}; give --max-drop and no more"
            )
        return prove_point(open_run(run), limits, *proof)
    if width is not None and limits is None:
        return width
    if width is None and limits is not None:
        return pick_point(read_curve(run, source), limits, as_json=as_json)
    got = "none of them" if width is None else "both"
    raise typer.BadParameter(f"expected a --width or a budget such as --max-params, got {got}; give one")


def _choose_suffix(file_format: Format | None, out: Path | None) -> str:
    if file_format == "hf":
        return "/"
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
