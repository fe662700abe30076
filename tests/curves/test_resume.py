import json
import math
from pathlib import Path

import pytest
import torch
from torch import nn

from tests.curves.evaluations import BATCH, fails_at, fails_below, first_output, short_time_latency
from tests.curves.stand_in import StandIn
from widthwise._shared import CurveError
from widthwise.curves import Curve, Score, curve, plan


def test_a_finished_curve_is_in_its_file(model: StandIn, tmp_path: Path) -> None:
    found = curve(model, first_output, latency=False, path=tmp_path / "curve.json")

    assert Curve.load(tmp_path / "curve.json") == found
    assert [file.name for file in tmp_path.iterdir()] == ["curve.json"]


def test_an_interrupted_curve_goes_on_where_it_stopped(model: StandIn, tmp_path: Path) -> None:
    path = tmp_path / "curve.json"
    with pytest.raises(CurveError):
        curve(model, fails_at(16), widths=[1.0, 0.75, 0.5, 0.25], latency=False, path=path)
    assert [point.width for point in Curve.load(path)] == [0.25, 0.75, 1.0]
    model.calls.clear()

    found = curve(model, fails_below(0), widths=[1.0, 0.75, 0.5, 0.25], latency=False, path=path)

    assert [units["fc1"] for units in model.calls] == [16]
    assert [point.width for point in found] == [0.25, 0.5, 0.75, 1.0]


def test_points_of_the_file_stay_beside_new_ones(model: StandIn, tmp_path: Path) -> None:
    curve(model, first_output, widths=[1.0, 0.5], latency=False, path=tmp_path / "curve.json")
    found = curve(model, first_output, widths=[0.25], latency=False, path=tmp_path / "curve.json")

    assert [point.width for point in found] == [0.25, 0.5, 1.0]
    assert found == Curve.load(tmp_path / "curve.json")


def test_a_finished_point_without_its_latency_or_a_new_score_is_measured_again(
    model: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "time_latency", short_time_latency)
    path = tmp_path / "curve.json"
    curve(model, first_output, widths=[0.5], latency=False, path=path)

    timed = curve(model, first_output, widths=[0.5], path=path)
    assert timed.points[0].latency_ms is not None

    richer = curve(model, first_output, widths=[0.5], path=path, extra_scores={"one": lambda _net: 1.0})
    assert set(richer.points[0].scores) == {"score", "one"}

    model.calls.clear()
    again = curve(model, first_output, widths=[0.5], latency=False, path=path)
    assert (again, model.calls) == (richer, [])


def test_the_curve_of_other_weights_is_replaced_with_a_warning(
    model: StandIn, other_model: StandIn, tmp_path: Path
) -> None:
    path = tmp_path / "curve.json"
    curve(other_model, first_output, widths=[1.0, 0.5], latency=False, path=path)

    with pytest.warns(UserWarning, match="differs in weights") as caught:
        found = curve(model, first_output, widths=[0.5], latency=False, path=path)

    assert str(caught[0].message) == (
        f"expected {path} to hold a curve of this model, got one that differs in weights; "
        "every point is measured again, and the file replaced"
    )
    assert caught[0].filename == __file__
    assert [point.score for point in found] == [first_output(model.extract(0.5))]
    assert Curve.load(path) == found


def test_the_curve_of_other_weights_stays_until_a_point_is_finished(
    model: StandIn, other_model: StandIn, tmp_path: Path
) -> None:
    path = tmp_path / "curve.json"
    before = curve(other_model, first_output, widths=[1.0], latency=False, path=path)

    with pytest.warns(UserWarning, match="differs in weights"), pytest.raises(CurveError):
        curve(model, fails_below(99, math.nan), widths=[1.0], latency=False, path=path)

    assert Curve.load(path) == before


def test_another_score_calibration_or_machine_is_another_curve(model: StandIn, tmp_path: Path) -> None:
    path = tmp_path / "curve.json"
    model.net.append(nn.BatchNorm1d(3))
    curve(model, first_output, widths=[1.0], latency=False, path=path)
    content = json.loads(path.read_text())
    content["environment"]["processor"] = "an abacus"
    path.write_text(json.dumps(content))
    score = Score(lambda net, batch: net(batch)[:, 0], [BATCH])

    with pytest.warns(UserWarning, match="differs in score, calibration, machine or version of torch; "):
        found = curve(model, score, widths=[1.0], calibrate=[BATCH], latency=False, path=path)

    assert (found.name, len(found)) == ("accuracy", 1)


def test_other_width_groups_are_another_curve(model: StandIn, tmp_path: Path) -> None:
    path = tmp_path / "curve.json"
    curve(model, first_output, widths=[1.0], latency=False, path=path)
    path.write_text(path.read_text().replace('"fc2"', '"layer2"'))

    with pytest.warns(UserWarning, match="differs in width groups; "):
        found = curve(model, first_output, widths=[0.5], latency=False, path=path)

    assert [point.width for point in found] == [0.5]


def test_a_fingerprint_that_is_given_stands_for_the_weights(
    model: StandIn, other_model: StandIn, tmp_path: Path
) -> None:
    path = tmp_path / "curve.json"
    first = curve(model, first_output, widths=[0.5], latency=False, path=path, fingerprint="epoch 3")
    second = curve(other_model, first_output, widths=[0.5], latency=False, path=path, fingerprint="epoch 3")

    assert first == second
    assert first.fingerprint == "epoch 3"


def test_tensors_beside_the_weights_are_part_of_the_fingerprint(model: StandIn, tmp_path: Path) -> None:
    first = curve(model, first_output, widths=[0.5], latency=False, path=tmp_path / "first.json")
    model.elastic_state = lambda: {"gain": torch.ones(1)}
    second = curve(model, first_output, widths=[0.5], latency=False, path=tmp_path / "second.json")

    assert first.fingerprint != second.fingerprint


def test_a_damaged_file_is_refused_and_left_alone(model: StandIn, tmp_path: Path) -> None:
    path = tmp_path / "curve.json"
    path.write_text("{")

    with pytest.raises(CurveError, match=r"^curve: expected JSON in .*curve\.json, got damaged content"):
        curve(model, first_output, widths=[0.5], latency=False, path=path)

    assert path.read_text() == "{"


def test_a_missing_folder_is_found_before_the_work(model: StandIn, tmp_path: Path) -> None:
    with pytest.raises(CurveError) as caught:
        curve(model, first_output, latency=False, path=tmp_path / "absent" / "curve.json")

    assert str(caught.value) == (
        f"expected a folder to write curve.json into, got none at {tmp_path / 'absent'}; create it first"
    )
    assert model.calls == []


def test_memory_is_added_to_points_of_an_earlier_version_and_nothing_is_scored(model: StandIn, tmp_path: Path) -> None:
    path = tmp_path / "curve.json"
    found = curve(model, first_output, widths=[1.0, 0.5], latency=False, path=path)
    content = json.loads(path.read_text())
    for point in content["points"]:
        del point["memory_bytes"]
    path.write_text(json.dumps(content))
    model.calls.clear()

    assert curve(model, first_output, widths=[1.0, 0.5], latency=False, path=path) == found
    assert model.calls == []
    assert Curve.load(path) == found
