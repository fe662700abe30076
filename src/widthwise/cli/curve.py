"""`widthwise curve`: score and costs of a run at each width."""

from pathlib import Path
from typing import Annotated

import typer

from widthwise._shared import CurveError, MissingExtraError, WidthError
from widthwise.cli.failure import report_note
from widthwise.cli.options import AsJson, DataFolder, RunFolder
from widthwise.cli.output import make_table, say, say_json
from widthwise.cli.points import open_run
from widthwise.curves import Curve, Point
from widthwise.curves import curve as measure_curve
from widthwise.elastic import Elastic
from widthwise.report import draw_curve, write_report
from widthwise.training import Run, Splits, build_task

__all__ = ["EXAMPLE", "curve", "draw", "measure"]

EXAMPLE = "widthwise curve runs/mnist --widths 1,0.5,0.25,0.125"

Widths = Annotated[
    str | None,
    typer.Option(
        "--widths",
        metavar="F,F,...",
        help="Fractions of full width, which is measured in any case; half octaves where not given.",
    ),
]
NoLatency = Annotated[bool, typer.Option("--no-latency", help="Do not time the networks.")]


def curve(
    run: RunFolder,
    widths: Widths = None,
    no_latency: NoLatency = False,
    data: DataFolder = None,
    as_json: AsJson = False,
) -> None:
    """Measure score, parameters, MACs, bytes and latency per width; writes curve.json, curve.png and report.html.

    The validation score decides picks; the test score stands beside it. Points measured before are not measured again.
    """
    opened = open_run(run)
    fractions = parse_widths(widths)
    found = measure(opened, opened.load_model(), opened.load_data(data), widths=fractions, latency=not no_latency)
    written = [opened.curve_path, *draw(opened, found)]
    if as_json:
        say_json(found.to_dict())
        return
    say(make_table(found.cells()))
    say(f"written: {', '.join(map(str, written))}")
    say(f"next: widthwise pick {run} --max-drop 0.01")


def measure(
    run: Run, model: Elastic, splits: Splits, *, widths: list[float] | None = None, latency: bool = True
) -> Curve:
    """Return the curve of a finished run, kept in its curve.json; BatchNorm is recalibrated on training samples.

    A curve.json that cannot be read is kept beside the new one, and a note tells so.
    """
    _set_aside(run.curve_path)
    task = build_task(run.recipe, splits, model.net)
    test = task.score("test")
    return measure_curve(
        model,
        task.score(),
        widths=widths,
        calibrate=task.calibration_batches(),
        latency=latency,
        path=run.curve_path,
        extra_scores={test.name: test},
    )


def draw(run: Run, found: Curve, *, point: Point | None = None) -> list[Path]:
    """Return the paths of the report and the picture of a curve, drawn; without [plot] a note tells what is missing."""
    write_report(found, run.report_path, point=point, title=run.recipe.name, recipe=run.recipe.to_toml())
    try:
        draw_curve(found, run.plot_path, point=point)
    except MissingExtraError as error:
        report_note(str(error))
        return [run.report_path]
    return [run.plot_path, run.report_path]


def parse_widths(text: str | None) -> list[float] | None:
    """Return full width and the fractions of a comma-separated list, None for None.

    Raises:
        WidthError: Where one of them is no number.
    """
    if text is None:
        return None
    try:
        # Full width is what drops are measured from.
        return [1.0, *(float(part) for part in text.split(","))]
    except ValueError as cause:
        raise WidthError(
            f"expected fractions between commas, such as 1,0.5,0.25, got '{text}'; write numbers"
        ) from cause


def _set_aside(path: Path) -> None:
    if not path.is_file():
        return
    try:
        Curve.load(path)
    except CurveError as error:
        aside = path.with_name(f"{path.stem}.damaged{path.suffix}")
        path.replace(aside)
        # What the error advises at its end is what happens here.
        found = str(error).rpartition(";")[0]
        report_note(f"{found}; every point is measured anew, and the old file kept as {aside.name}")
