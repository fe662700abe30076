"""`widthwise demo`: the whole way once, in under a minute: train, curve, pick, export, verify."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, final

import typer

from widthwise._shared import MissingExtraError
from widthwise.cli.curve import draw, measure
from widthwise.cli.export import exported_dict, write_export
from widthwise.cli.failure import report_note
from widthwise.cli.options import AsJson
from widthwise.cli.output import format_bytes, format_score, make_table, say, say_json
from widthwise.cli.points import export_stem
from widthwise.curves import Point
from widthwise.elastic import Elastic
from widthwise.slicing import Exported
from widthwise.training import Run, Splits, load_recipe, train

__all__ = ["EXAMPLE", "demo"]

EXAMPLE = "widthwise demo --out runs/demo"

_RECIPE = "digits-mlp"
# One point of accuracy.
_MAX_DROP = 0.01

Out = Annotated[
    Path | None, typer.Option("--out", metavar="RUN", help="The run directory; a temporary one where not given.")
]


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class _Result:
    run: Run
    full: Point
    point: Point
    exported: Exported


def demo(out: Out = None, as_json: AsJson = False) -> None:
    """Train once on handwritten digits, draw the curve, pick a small network, export it, check it: under a minute."""
    result = _run_all(out or Path(tempfile.mkdtemp(prefix="widthwise-demo-")), tell=_say_nothing if as_json else say)
    if as_json:
        say_json(
            {
                "run": str(result.run.path),
                "full": result.full.to_dict(),
                "picked": result.point.to_dict(),
                "export": exported_dict(result.exported),
            }
        )
    else:
        _summarize(result)


def _run_all(folder: Path, *, tell: Callable[[str], None]) -> _Result:
    tell("One training on 1,000 handwritten digits gives a network at every width.\n")
    run = train(load_recipe(_RECIPE), folder)
    tell(f"1 trained   {run.state.epochs} epochs in {run.state.training_seconds:.0f} s")
    model, splits = run.load_model(), run.load_data()
    num_widths = len(model.verify().widths)
    tell(f"2 verified  the width groups found in the network, on it, at {num_widths} widths")
    found = measure(run, model, splits)
    point, full = found.pick(max_drop=_MAX_DROP), found.full
    assert full is not None, "half octaves begin at full width"
    draw(run, found, point=point)
    tell(f"3 measured  {len(found)} widths, each as the plain network that you would take home")
    tell(f"4 picked    width {point.label}, the smallest within one point of accuracy of the full network")
    exported = _export(run, model, point, splits)
    tell(f"5 exported  {exported.path.name}, read back and compared with the trained network\n")
    return _Result(run=run, full=full, point=point, exported=exported)


def _export(run: Run, model: Elastic, point: Point, splits: Splits) -> Exported:
    stem = export_stem(run, point)
    try:
        return write_export(run, model, point, run.exports_path / f"{stem}.onnx", splits=splits)
    except MissingExtraError as error:
        report_note(f"{error}; writing .safetensors in place of .onnx")
        return write_export(run, model, point, run.exports_path / f"{stem}.safetensors", splits=splits)


def _summarize(result: _Result) -> None:
    full, point, run = result.full, result.point, result.run
    cells = [["", "full width", f"width {point.label}", ""]]
    for name, words in (("accuracy", "accuracy, validation"), ("test_accuracy", "accuracy, test")):
        scores = [format_score(each.scores[name], "accuracy") for each in (full, point)]
        cells.append([words, *scores, f"{100 * (point.scores[name] - full.scores[name]):+.2f} points"])
    cells.append(["parameters", f"{full.params:,}", f"{point.params:,}", _smaller(full.params, point.params)])
    cells.append(["MACs per image", f"{full.macs:,}", f"{point.macs:,}", _smaller(full.macs, point.macs)])
    sizes = [format_bytes(each.bytes) for each in (full, point)]
    cells.append(["size as .safetensors", *sizes, _smaller(full.bytes, point.bytes)])
    say(make_table(cells, left=("",)))
    paths = [("the small network", result.exported.path), ("the curve", run.plot_path), ("the report", run.report_path)]
    for words, path in paths:
        if path.exists():
            say(f"{words:<18}{path}")
    say("\nNext:")
    say(f"  widthwise pick {run.path} --max-params 5000")
    say(f"  widthwise export {run.path} --width 0.125 --format safetensors")
    say("  widthwise recipes")


def _smaller(full: float, picked: float) -> str:
    return f"{full / picked:.1f} times less"


def _say_nothing(_: str) -> None:
    return
