import json
from dataclasses import replace
from pathlib import Path

import pytest

from widthwise._shared import CurveError
from widthwise.curves import Curve, Point


def make_point(width: float | None, score: float, params: int) -> Point:
    return Point(
        width=width,
        widths={"fc1": params},
        score=score,
        scores={"accuracy": score},
        params=params,
        macs=params - 1,
        bytes=4 * params,
        latency_ms=params / 1000,
        latency_range_ms=(params / 2000, params / 500),
    )


NARROW, MIDDLE, FULL = make_point(0.25, 0.5, 10), make_point(None, 0.75, 100), make_point(1.0, 1.0, 1000)
CURVE = Curve(
    points=(FULL, NARROW, MIDDLE),
    name="accuracy",
    fingerprint="abc",
    is_calibrated=True,
    environment={"torch": "2", "cores": 2, "gpu": None},
)


def test_points_go_from_small_to_large() -> None:
    assert CURVE.points == (NARROW, MIDDLE, FULL)
    assert list(CURVE) == [NARROW, MIDDLE, FULL]
    assert len(CURVE) == 3


def test_the_full_point_is_the_one_of_width_one() -> None:
    assert CURVE.full is FULL
    assert Curve(points=(NARROW, MIDDLE)).full is None


def test_a_curve_prints_as_a_table() -> None:
    assert str(CURVE) == (
        "  width  accuracy %  parameters  MACs   kB  latency ms\n"
        "   0.25       50.00          10     9  0.0       0.010\n"
        "fc1=100       75.00         100    99  0.4       0.100\n"
        "      1      100.00       1,000   999  4.0       1.000"
    )
    assert repr(CURVE) == f"accuracy at 3 widths, higher is better\n{CURVE}"
    assert repr(Curve(points=(FULL,), name="loss", higher_is_better=False)).startswith(
        "loss at 1 width, lower is better\n"
    )


def test_a_curve_picks_from_its_own_points_in_its_own_direction() -> None:
    falling = Curve(points=CURVE.points, higher_is_better=False)

    assert CURVE.pick(max_params=100) is MIDDLE
    assert falling.pick(max_params=100) is NARROW


def test_every_limit_reaches_the_pick() -> None:
    limits = {"max_params": 100, "max_macs": 99, "max_bytes": 400, "max_latency_ms": 0.1, "max_drop": 0.25}

    for name, limit in limits.items():
        assert CURVE.pick(**{name: limit}) is MIDDLE
    assert CURVE.pick(min_score=0.6) is MIDDLE


def test_cells_are_the_table_with_its_header() -> None:
    assert CURVE.cells()[0] == ["width", "accuracy %", "parameters", "MACs", "kB", "latency ms"]
    assert len(CURVE.cells()) == 4


def test_a_saved_curve_reads_back_as_it_was(tmp_path: Path) -> None:
    CURVE.save(tmp_path / "curve.json")

    assert Curve.load(tmp_path / "curve.json") == CURVE


def test_a_curve_of_unnamed_weights_reads_back_as_it_was(tmp_path: Path) -> None:
    curve = Curve(points=(NARROW,), higher_is_better=False)
    curve.save(tmp_path / "curve.json")

    assert Curve.load(tmp_path / "curve.json") == curve


def test_the_file_is_json_of_schema_one(tmp_path: Path) -> None:
    CURVE.save(tmp_path / "curve.json")
    content = json.loads((tmp_path / "curve.json").read_text())

    assert content["schema"] == 1
    assert list(content) == [
        "schema",
        "name",
        "higher_is_better",
        "fingerprint",
        "is_calibrated",
        "environment",
        "directions",
        "points",
    ]


def test_a_curve_without_points_is_refused() -> None:
    with pytest.raises(CurveError) as caught:
        Curve(points=())

    assert str(caught.value) == "expected a curve of at least one point, got none; measure it at one width or more"


def test_the_same_widths_twice_are_refused() -> None:
    with pytest.raises(CurveError) as caught:
        Curve(points=(NARROW, replace(NARROW, score=0.6)))

    assert str(caught.value) == "expected each widths once in a curve, got 0.25 twice; leave one of the two out"


def test_a_curve_that_cannot_be_written_is_an_error_of_curves(tmp_path: Path) -> None:
    with pytest.raises(CurveError, match=r"^expected to be able to write .*curve\.json, got: "):
        CURVE.save(tmp_path / "absent" / "curve.json")


def test_a_missing_file_is_an_error_of_curves(tmp_path: Path) -> None:
    with pytest.raises(CurveError, match=r"^curve: expected a file .*curve\.json, got none"):
        Curve.load(tmp_path / "curve.json")


@pytest.mark.parametrize("text", ["", "{", '{"schema": 1, "name": ', "[]"])
def test_a_damaged_file_is_an_error_of_curves(text: str, tmp_path: Path) -> None:
    (tmp_path / "curve.json").write_text(text)

    with pytest.raises(CurveError, match=r"^curve: expected .*curve\.json, got "):
        Curve.load(tmp_path / "curve.json")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("points", {}, "expected points to be a list, got {}; the curve is damaged: measure it again"),
        ("points", [3], "expected points to be objects, got 3; the curve is damaged: measure it again"),
        ("points", [], "expected a curve of at least one point, got none; measure it at one width or more"),
        (
            "points",
            [{}],
            "expected widths of a point to be an object, got None; the curve is damaged: measure it again",
        ),
        ("name", None, "expected name to be a string, got None; the curve is damaged: measure it again"),
        (
            "higher_is_better",
            1,
            "expected higher_is_better to be true or false, got 1; the curve is damaged: measure it again",
        ),
        (
            "is_calibrated",
            "",
            "expected is_calibrated to be true or false, got ''; the curve is damaged: measure it again",
        ),
        ("fingerprint", 5, "expected fingerprint to be a string, got 5; the curve is damaged: measure it again"),
        ("environment", [], "expected environment to be an object, got []; the curve is damaged: measure it again"),
    ],
)
def test_a_damaged_entry_is_refused_with_the_file(key: str, value: object, message: str, tmp_path: Path) -> None:
    path = tmp_path / "curve.json"
    path.write_text(json.dumps({**CURVE.to_dict(), key: value}))

    with pytest.raises(CurveError) as caught:
        Curve.load(path)

    assert str(caught.value) == f"curve: {path}: {message}"


def test_a_file_of_another_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "curve.json"
    path.write_text(json.dumps({**CURVE.to_dict(), "schema": 2}))

    with pytest.raises(CurveError) as caught:
        Curve.load(path)

    assert str(caught.value) == f"curve: expected schema 1 in {path}, got schema 2; update widthwise to read it"


OLD = """{"schema": 1, "name": "loss", "higher_is_better": false, "fingerprint": null, "is_calibrated": false,
 "environment": {"torch": "2"}, "points": [{"width": 1.0, "widths": {"fc1": 8}, "score": 0.5,
 "scores": {"loss": 0.5, "other": 1.0}, "params": 10, "macs": 9, "bytes": 40, "latency_ms": null,
 "latency_range_ms": null}]}"""


def test_a_file_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    (tmp_path / "curve.json").write_text(OLD)
    curve = Curve.load(tmp_path / "curve.json")

    assert curve.full is not None
    assert (curve.full.memory_bytes, curve.full.errors, curve.full.bytes_by_dtype) == (None, {}, {})
    assert curve.directions == {"loss": False}


def test_damaged_directions_are_refused(tmp_path: Path) -> None:
    content = {**CURVE.to_dict(), "directions": {"accuracy": "up"}}
    with pytest.raises(CurveError, match="expected accuracy to be true or false, got 'up'; the curve is damaged"):
        Curve.from_dict(content)
    with pytest.raises(CurveError, match="expected directions to be an object, got 3; the curve is damaged"):
        Curve.from_dict({**content, "directions": 3})
