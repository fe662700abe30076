"""`widthwise curve`: score and costs of a run at each width."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer

from widthwise._shared import CurveError, MissingExtraError, WidthError
from widthwise.cli.failure import report_note
from widthwise.cli.options import AsJson, DataFolder, RunFolder
from widthwise.cli.output import make_table, say, say_json
from widthwise.cli.points import open_run, read_curve
from widthwise.curves import Cost, Curve, Point, join_cells
from widthwise.curves import curve as measure_curve
from widthwise.elastic import Elastic
from widthwise.report import check_ending, draw_curve, write_report
from widthwise.training import Run, Splits, build_task

__all__ = ["EXAMPLE", "curve", "draw", "measure"]

EXAMPLE = "widthwise curve runs/mnist --widths adaptive --processes 2 --beside runs/mnist-paper --cost macs"

_MEASURED = "What is measured"
_DRAWN = "What is drawn"

Widths = Annotated[
    str | None,
    typer.Option(
        "--widths",
        metavar="F,F,...",
        help="Fractions of full width, which is measured in any case; half octaves where not given. 'adaptive' takes "
        "octaves, and then widths where the curve bends most.",
        rich_help_panel=_MEASURED,
    ),
]
MaxPoints = Annotated[
    int | None,
    typer.Option("--max-points", help="Most adaptive widths; 16 where not given.", rich_help_panel=_MEASURED),
]
Tolerance = Annotated[
    float | None,
    typer.Option(
        "--tolerance",
        help="Adaptive widths end where a straight line is as near as that to the curve, in the unit of the score; a "
        "hundredth of its range where not given.",
        rich_help_panel=_MEASURED,
    ),
]
NoLatency = Annotated[bool, typer.Option("--no-latency", help="Do not time the networks.", rich_help_panel=_MEASURED)]
Processes = Annotated[
    int,
    typer.Option("--processes", min=1, help="How many networks are scored at a time.", rich_help_panel=_MEASURED),
]
CostOption = Annotated[
    Cost,
    typer.Option(
        "--cost",
        help="What scores are drawn against; points that no other beats in it are filled.",
        rich_help_panel=_DRAWN,
    ),
]
Beside = Annotated[
    list[Path] | None,
    typer.Option(
        "--beside",
        metavar="RUN",
        help="Another run whose stored curve is drawn beside this one; may be given several times.",
        rich_help_panel=_DRAWN,
    ),
]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out", metavar="FILE", help="The picture: .png, .svg or .pdf; RUN/curve.png where not given.",
        rich_help_panel=_DRAWN,
    ),
]  # fmt: skip


def curve(
    run: RunFolder,
    widths: Widths = None,
    max_points: MaxPoints = None,
    tolerance: Tolerance = None,
    no_latency: NoLatency = False,
    processes: Processes = 1,
    cost: CostOption = "params",
    beside: Beside = None,
    out: Out = None,
    data: DataFolder = None,
    as_json: AsJson = False,
) -> None:
    """Measure score, parameters, MACs, bytes, memory and latency per width; writes curve.json, curve.png, report.html.

    The validation score decides picks; the test score stands beside it. Points measured before are not measured again.
    """
    opened = open_run(run)
    # What can be refused is refused before the work.
    others = {name: read_curve(path) for name, path in name_runs([run, *(beside or [])]).items() if path != run}
    if out is not None:
        check_ending(out, CurveError)
    found = measure(
        opened,
        opened.load_model(),
        opened.load_data(data),
        widths=parse_widths(widths),
        latency=not no_latency,
        max_points=max_points,
        tolerance=tolerance,
        processes=processes,
    )
    written = [opened.curve_path, *draw(opened, found, cost=cost, others=others, out=out)]
    _tell(run, found, others, as_json=as_json)
    if not as_json:
        say(f"written: {', '.join(map(str, written))}")
        say(f"next: widthwise pick {run} --max-drop 0.01")


def measure(
    run: Run,
    model: Elastic,
    splits: Splits,
    *,
    widths: list[float] | Literal["adaptive"] | None = None,
    latency: bool = True,
    max_points: int | None = None,
    tolerance: float | None = None,
    processes: int = 1,
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
        max_points=max_points,
        tolerance=tolerance,
        processes=processes,
    )


def draw(
    run: Run,
    found: Curve,
    *,
    point: Point | None = None,
    cost: Cost = "params",
    others: Mapping[str, Curve] | None = None,
    out: Path | None = None,
) -> list[Path]:
    """Return the paths of the report and the picture of a curve, drawn; without [plot] a note tells what is missing.

    Args:
        run: The run.
        found: Its curve.
        point: The point that was picked.
        cost: What scores are drawn against.
        others: Curves of other runs, by name.
        out: The picture; None for that of the run.
    """
    name, title, picture = run.path.resolve().name, run.recipe.name, out or run.plot_path
    recipe = run.recipe.to_toml()
    write_report(found, run.report_path, point=point, others=others, name=name, title=title, recipe=recipe, cost=cost)
    try:
        draw_curve(found, picture, point=point, others=others, name=name, cost=cost)
    except MissingExtraError as error:
        report_note(str(error))
        return [run.report_path]
    return [picture, run.report_path]


def name_runs(paths: Sequence[Path]) -> dict[str, Path]:
    """Return runs by the names of their folders, or by their paths where two have the same.

    Example:
        >>> list(name_runs([Path("runs/a"), Path("runs/b")]))
        ['a', 'b']
    """
    names = [path.resolve().name for path in paths]
    return {name if names.count(name) == 1 else str(path): path for name, path in zip(names, paths, strict=True)}


def parse_widths(text: str | None) -> list[float] | Literal["adaptive"] | None:
    """Return full width and the fractions of a comma-separated list; "adaptive" and None as they are.

    Raises:
        WidthError: Where one of them is no number.
    """
    if text is None or text == "adaptive":
        return text
    try:
        # Full width is what drops are measured from.
        return [1.0, *(float(part) for part in text.split(","))]
    except ValueError as cause:
        raise WidthError(
            f"expected fractions between commas, such as 1,0.5,0.25, got '{text}'; write numbers"
        ) from cause


def _tell(run: Path, found: Curve, others: Mapping[str, Curve], *, as_json: bool) -> None:
    """Print the curve, and those beside it."""
    curves = {next(name for name in name_runs([run])): found, **others}
    if as_json:
        together = {name: curve.to_dict() for name, curve in curves.items()}
        say_json({"curves": together} if others else found.to_dict())
    elif others:
        say(make_table(join_cells({name: curve.cells() for name, curve in curves.items()}), left=("run",)))
    else:
        say(make_table(found.cells()))


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
