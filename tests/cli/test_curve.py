import json
import re
from pathlib import Path

import pytest
from torch import Tensor

from tests.cli.conftest import Invoke, error_line
from widthwise._shared import MissingExtraError
from widthwise.cli import curve as curve_verb
from widthwise.cli.curve import name_runs
from widthwise.curves import Curve, Score
from widthwise.training.classification import Classification


def test_the_curve_is_a_table_and_three_files(invoke: Invoke, run_copy: Path) -> None:
    result = invoke("curve", run_copy, "--widths", "1,0.5,0.25")
    assert result.exit_code == 0
    assert [row.split()[0] for row in result.stdout.splitlines()[3:6]] == ["0.25", "0.5", "1"]
    for word in ("width", "accuracy", "test_accuracy", "parameters", "MACs", "kB", "latency ms"):
        assert word in result.stdout
    for name in ("curve.json", "curve.png", "report.html"):
        assert (run_copy / name).stat().st_size > 0
        assert f"{run_copy / name}" in result.stdout
    assert f"next: widthwise pick {run_copy} --max-drop 0.01" in result.stdout


def test_validation_decides_and_the_test_score_stands_beside_it(measured: Path) -> None:
    curve = Curve.load(measured / "curve.json")
    assert curve.name == "accuracy"
    for point in curve:
        assert set(point.scores) == {"accuracy", "test_accuracy"}
        assert point.score == point.scores["accuracy"]
    assert any(point.scores["test_accuracy"] != point.score for point in curve)


def test_half_octaves_down_to_the_lowest_width_are_the_default(measured: Path) -> None:
    units = [point.widths["fc1"] for point in Curve.load(measured / "curve.json")]
    assert units == [8, 11, 16, 23, 32]


def test_no_latency_leaves_the_time_out(invoke: Invoke, run_copy: Path) -> None:
    result = invoke("curve", run_copy, "--widths", "1", "--no-latency")
    assert "latency ms" not in result.stdout
    assert Curve.load(run_copy / "curve.json").points[0].latency_ms is None


def test_json_is_all_there_is_on_stdout(invoke: Invoke, run_copy: Path) -> None:
    result = invoke("curve", run_copy, "--widths", "1,0.5", "--no-latency", "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout) == json.loads((run_copy / "curve.json").read_text())


def test_points_that_are_measured_are_not_measured_again(
    invoke: Invoke, run_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert invoke("curve", run_copy, "--widths", "1,0.5", "--no-latency").exit_code == 0
    before = (run_copy / "curve.json").read_text()
    monkeypatch.setattr(Classification, "score", _refuse_to_score)
    result = invoke("curve", run_copy, "--widths", "1,0.5", "--no-latency")
    assert result.exit_code == 0, result.stderr
    assert (run_copy / "curve.json").read_text() == before


def _refuse_to_score(_: Classification, split: str = "validation") -> Score[int]:
    def fail(net: object, batch: object) -> Tensor:
        raise AssertionError

    return Score(fail, [1], name="accuracy" if split == "validation" else "test_accuracy")


def test_without_the_plot_extra_a_line_names_it_and_the_rest_is_written(
    invoke: Invoke, run_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise MissingExtraError("plotting needs matplotlib; install it with: pip install 'widthwise[plot]'")

    monkeypatch.setattr(curve_verb, "draw_curve", fail)
    result = invoke("curve", run_copy, "--widths", "1,0.5", "--no-latency")
    assert result.exit_code == 0, result.stderr
    assert result.stderr == (
        "widthwise: note: plotting needs matplotlib; install it with: pip install 'widthwise[plot]'\n"
    )
    assert (run_copy / "curve.json").exists()
    assert (run_copy / "report.html").exists()
    assert not (run_copy / "curve.png").exists()


@pytest.mark.parametrize(
    ("widths", "message"),
    [
        ("64", "must lie in (0, 1], got 64.0; 0.5 keeps half of the units (16 of 32 in fc1), 1.0 all"),
        ("half", "expected fractions between commas, such as 1,0.5,0.25, got 'half'; write numbers"),
        ("1,,0.5", "expected fractions between commas, such as 1,0.5,0.25, got '1,,0.5'; write numbers"),
        ("0", "must lie in (0, 1], got 0.0"),
        ("1,1.5", "must lie in (0, 1], got 1.5"),
        ("nan", "must lie in (0, 1], got nan"),
    ],
)
def test_widths_that_are_none_exit_2(invoke: Invoke, run_copy: Path, widths: str, message: str) -> None:
    result = invoke("curve", run_copy, "--widths", widths)
    assert result.exit_code == 2
    assert message in error_line(result)


def test_adaptive_widths_begin_with_octaves(invoke: Invoke, run_copy: Path) -> None:
    result = invoke("curve", run_copy, "--widths", "adaptive", "--max-points", "4", "--no-latency")
    assert result.exit_code == 0, result.stderr
    units = [point.widths["fc1"] for point in Curve.load(run_copy / "curve.json")]
    assert {8, 16, 32} <= set(units)
    assert len(units) <= 4


def test_settings_of_adaptive_widths_alone_exit_1(invoke: Invoke, run_copy: Path) -> None:
    result = invoke("curve", run_copy, "--max-points", "4", "--no-latency")
    assert result.exit_code == 1
    assert error_line(result).startswith("expected max_points and tolerance beside adaptive widths alone, got them")


@pytest.mark.slow
def test_several_processes_give_the_same_curve(invoke: Invoke, run_copy: Path, measured: Path) -> None:
    result = invoke("curve", run_copy, "--no-latency", "--processes", "2")
    assert result.exit_code == 0, result.stderr
    assert json.loads((run_copy / "curve.json").read_text()) == json.loads((measured / "curve.json").read_text())


def test_errors_and_memory_are_in_the_table(invoke: Invoke, measured: Path) -> None:
    result = invoke("curve", measured, "--no-latency")
    assert " ± " in result.stdout
    assert "memory kB" in result.stdout
    point = Curve.load(measured / "curve.json").points[0]
    assert set(point.errors) == set(point.drop_errors) == {"accuracy", "test_accuracy"}


def test_other_runs_stand_beside_this_one(invoke: Invoke, run_copy: Path, measured: Path, tmp_path: Path) -> None:
    assert invoke("curve", run_copy, "--widths", "1,0.5", "--no-latency").exit_code == 0
    other = run_copy.rename(tmp_path / "theirs")
    picture = tmp_path / "compare.svg"
    words = ("curve", measured, "--no-latency", "--beside", other, "--out", picture, "--cost", "macs")
    result = invoke(*words)
    assert result.exit_code == 0, result.stderr
    rows = [row.split() for row in result.stdout.splitlines() if row.split()[:1] in (["run"], ["theirs"])]
    assert [row[:2] for row in rows] == [["run", "width"], *([["run", label] for label in LABELS]), *THEIRS]
    assert {">theirs<", ">MACs (beside the points: width)<"} <= set(re.findall(r">[^<]+<", picture.read_text()))
    assert "<h3>theirs</h3>" in (measured / "report.html").read_text()

    content = json.loads(invoke(*words, "--json").stdout)
    assert content == {
        "curves": {
            "run": json.loads((measured / "curve.json").read_text()),
            "theirs": Curve.load(other / "curve.json").to_dict(),
        }
    }


LABELS = ["0.25", "0.3536", "0.5", "0.7071", "1"]
THEIRS = [["theirs", "0.5"], ["theirs", "1"]]


def test_a_run_beside_without_a_curve_is_told_before_the_work(invoke: Invoke, measured: Path, run_copy: Path) -> None:
    result = invoke("curve", measured, "--beside", run_copy)
    assert result.exit_code == 1
    assert error_line(result) == f"expected a curve in {run_copy}, got none; measure it: widthwise curve {run_copy}"


def test_a_picture_of_another_ending_is_told_before_the_work(invoke: Invoke, run_copy: Path) -> None:
    result = invoke("curve", run_copy, "--out", "compare.gif")
    assert result.exit_code == 1
    assert error_line(result) == (
        "expected a file name ending in .png, .svg, .pdf, got compare.gif; choose one of them"
    )
    assert not (run_copy / "curve.json").exists()


def test_a_cost_that_is_none_exits_2(invoke: Invoke, run_copy: Path) -> None:
    assert invoke("curve", run_copy, "--cost", "flops").exit_code == 2


def test_runs_of_one_name_are_told_apart_by_their_paths() -> None:
    paths = [Path("a/run"), Path("b/run"), Path("b/other")]
    assert list(name_runs(paths)) == ["a/run", "b/run", "other"]


def test_full_width_is_measured_in_any_case(invoke: Invoke, run_copy: Path) -> None:
    result = invoke("curve", run_copy, "--widths", "0.5", "--no-latency")
    assert [point.width for point in Curve.load(run_copy / "curve.json")] == [0.5, 1.0]
    hint = next(line for line in result.stdout.splitlines() if line.startswith("next: widthwise "))
    assert invoke(*hint.removeprefix("next: widthwise ").split()).exit_code == 0


def test_a_folder_without_a_run_exits_1(invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = invoke("curve", "nosuch")
    assert result.exit_code == 1
    assert error_line(result) == (
        "expected a run directory nosuch with a run.json, got none; make one: widthwise train RECIPE --out nosuch"
    )


def test_a_run_of_another_schema_exits_1_and_stays(invoke: Invoke, run_copy: Path) -> None:
    path = run_copy / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema": 99}))
    before = {entry: entry.read_bytes() for entry in run_copy.rglob("*") if entry.is_file()}
    result = invoke("curve", run_copy)
    assert result.exit_code == 1
    assert error_line(result) == f"run: expected schema 1 in {path}, got schema 99; update widthwise to read it"
    assert {entry: entry.read_bytes() for entry in run_copy.rglob("*") if entry.is_file()} == before


def test_damaged_weights_exit_1(invoke: Invoke, run_copy: Path) -> None:
    (run_copy / "model.safetensors").write_bytes(b"half")
    result = invoke("curve", run_copy)
    assert result.exit_code == 1
    assert error_line(result).endswith(
        "; the same `widthwise train` command restores it from the checkpoint, or with --overwrite trains again"
    )


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("{", "expected JSON in {}, got damaged content (Expecting property name enclosed in double quotes"),
        ('{"schema": 99}', "expected schema 1 in {}, got schema 99; every point"),
        ('{"schema": 1, "points": 3}', "expected points to be a list, got 3; every point"),
    ],
)
def test_a_damaged_curve_is_measured_anew_and_kept(invoke: Invoke, run_copy: Path, text: str, found: str) -> None:
    path = run_copy / "curve.json"
    path.write_text(text)
    result = invoke("curve", run_copy, "--widths", "1", "--no-latency")
    assert result.exit_code == 0, result.stderr
    assert len(Curve.load(path)) == 1
    assert (run_copy / "curve.damaged.json").read_text() == text
    (line,) = result.stderr.splitlines()
    assert line.startswith("widthwise: note: curve: ")
    assert found.format(path) in line
    assert line.endswith("; every point is measured anew, and the old file kept as curve.damaged.json")


def test_a_damaged_curve_is_kept_where_nothing_new_is_measured(
    invoke: Invoke, run_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (run_copy / "curve.json").write_text("{")
    monkeypatch.setattr(Classification, "score", _refuse_to_score)
    assert invoke("curve", run_copy, "--no-latency").exit_code == 1
    assert (run_copy / "curve.damaged.json").read_text() == "{"
    assert not (run_copy / "curve.json").exists()


def test_what_is_no_file_is_no_damaged_curve(invoke: Invoke, run_copy: Path) -> None:
    (run_copy / "curve.json").mkdir()
    result = invoke("curve", run_copy)
    assert result.exit_code == 1
    assert error_line(result).startswith(f"curve: expected a readable file {run_copy / 'curve.json'}, got: Is a direct")


def test_a_run_that_is_not_finished_exits_1(invoke: Invoke, run_copy: Path) -> None:
    path = run_copy / "run.json"
    path.write_text(path.read_text().replace('"finished"', '"interrupted"'))
    result = invoke("curve", run_copy)
    assert result.exit_code == 1
    assert error_line(result) == (
        f"expected a finished run in {run_copy}, got one that is interrupted after epoch 4 of 4; "
        "continue it with the same `widthwise train` command"
    )
