from pathlib import Path

import pytest

from tests.training.conftest import TINY
from widthwise._shared import CurveError
from widthwise.cli.points import describe_point, describe_widths, export_stem, pick_point, read_curve
from widthwise.curves import Curve, Limits, Point
from widthwise.training import Run, RunState, parse_recipe


def make_point(width: float | None, units: int, **changes: object) -> Point:
    score = 0.9 + units / 1000
    values = {
        "width": width,
        "widths": {"fc1": units, "fc2": 2 * units},
        "score": score,
        "scores": {"accuracy": score, "test_accuracy": score - 0.01},
        "params": 100 * units,
        "macs": 90 * units,
        "bytes": 400 * units,
    }
    return Point(**{**values, **changes})  # pyright: ignore[reportArgumentType]


def make_curve() -> Curve:
    return Curve(points=(make_point(0.25, 16), make_point(1.0, 64)), name="accuracy")


def test_a_point_is_told_beside_the_full_width() -> None:
    curve = make_curve()
    assert describe_point(curve.points[0], curve).splitlines() == [
        "width 0.25  (fc1 16, fc2 32)",
        "  accuracy      91.60 %   (full width 96.40 %)",
        "  test_accuracy 90.60 %   (full width 95.40 %)",
        "  parameters    1,600   (25.0% of full width)",
        "  MACs          1,440   (25.0% of full width)",
        "  size          6.4 kB   (25.0% of full width)",
    ]


def test_a_point_is_told_without_full_width_and_with_latency() -> None:
    point = make_point(0.25, 16, latency_ms=0.5, scores={})
    lines = describe_point(point, Curve(points=(point,), name="perplexity")).splitlines()
    assert lines[1:] == [
        "  perplexity    0.916",
        "  parameters    1,600",
        "  MACs          1,440",
        "  size          6.4 kB",
        "  latency       0.500 ms",
    ]


def test_limits_pick_as_the_curve_does() -> None:
    assert pick_point(make_curve(), Limits(max_params=2000)) == make_curve().pick(max_params=2000)


def test_a_curve_is_read_from_the_run(tmp_path: Path) -> None:
    make_curve().save(tmp_path / "curve.json")
    assert read_curve(tmp_path) == make_curve()


def test_a_missing_curve_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "run.json").touch()
    with pytest.raises(CurveError) as caught:
        read_curve(tmp_path)
    assert str(caught.value) == f"expected a curve in {tmp_path}, got none; measure it: widthwise curve {tmp_path}"


def test_a_file_is_named_by_recipe_and_width(tmp_path: Path) -> None:
    state = RunState(
        status="finished",
        finished_epochs=1,
        epochs=1,
        widths_trained={},
        training_cost_epochs=None,
        training_seconds=0.0,
        data_folder=None,
        checkpoint_sha256=None,
        weights_sha256={},
    )
    run = Run(path=tmp_path, recipe=parse_recipe(TINY), state=state)
    assert export_stem(run, 0.25) == "tiny-w0.25"
    assert export_stem(run, make_point(2**-2.5, 16)) == "tiny-w0.1768"
    assert export_stem(run, make_point(None, 16)) == "tiny-w16-32"


def test_widths_are_told_group_by_group() -> None:
    assert describe_widths({"fc1": 3, "a.b": 1}) == "fc1 3, a.b 1"
