import json
import shutil
from pathlib import Path

import pytest

from tests.cli.conftest import Invoke, error_line
from widthwise.curves import Curve, Point


def test_the_picked_point_is_that_of_the_curve(invoke: Invoke, measured: Path) -> None:
    curve = Curve.load(measured / "curve.json")
    result = invoke("pick", measured, "--max-params", "200", "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout) == curve.pick(max_params=200).to_dict()


@pytest.mark.parametrize(
    ("words", "limits"),
    [
        (("--max-macs", "300"), {"max_macs": 300}),
        (("--max-bytes", "2000"), {"max_bytes": 2000}),
        (("--max-memory", "300"), {"max_memory": 300}),
        (("--min-score", "0.4"), {"min_score": 0.4}),
        (("--max-drop", "0.05"), {"max_drop": 0.05}),
        (("--max-drop", "5%"), {"max_drop": "5%"}),
        (("--max-drop", "0.5", "--max-params", "200"), {"max_drop": 0.5, "max_params": 200}),
    ],
)
def test_each_budget_reaches_the_choice(
    invoke: Invoke, measured: Path, words: tuple[str, ...], limits: dict[str, int]
) -> None:
    result = invoke("pick", measured, *words, "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout) == Curve.load(measured / "curve.json").pick(**limits).to_dict()


def test_the_point_is_told_in_words_beside_the_full_width(invoke: Invoke, measured: Path) -> None:
    point = Curve.load(measured / "curve.json").pick(max_params=200)
    result = invoke("pick", measured, "--max-params", "200")
    assert result.stdout.startswith(f"width {point.label}  (fc1 {point.widths['fc1']}, fc2 {point.widths['fc2']})\n")
    assert f"accuracy      {100 * point.score:.2f} %   (full width " in result.stdout
    assert f"parameters    {point.params:,}   (" in result.stdout
    assert f"next: widthwise export {measured} --width " in result.stdout


def test_the_hint_after_a_budget_of_bytes_gives_a_file_that_keeps_to_it(invoke: Invoke, measured: Path) -> None:
    result = invoke("pick", measured, "--max-bytes", "2000")
    hint = next(line for line in result.stdout.splitlines() if line.startswith("next: widthwise "))
    content = json.loads(invoke(*hint.removeprefix("next: widthwise ").split(), "--json").stdout)
    assert content["bytes"] <= 2000


def test_nothing_is_read_but_the_curve(invoke: Invoke, measured: Path, tmp_path: Path) -> None:
    shutil.copy(measured / "curve.json", tmp_path / "curve.json")
    assert invoke("pick", tmp_path, "--max-params", "200").exit_code == 0


def test_where_nothing_fits_it_exits_3_and_names_the_nearest(invoke: Invoke, measured: Path) -> None:
    result = invoke("pick", measured, "--max-params", "10")
    assert result.exit_code == 3
    smallest = Curve.load(measured / "curve.json").points[0]
    line = error_line(result)
    assert line.startswith("no point has at most 10 parameters; the nearest is width ")
    assert f"{smallest.params} parameters" in line


def test_where_nothing_fits_json_tells_the_nearest(invoke: Invoke, measured: Path) -> None:
    result = invoke("pick", measured, "--max-params", "10", "--json")
    assert result.exit_code == 3
    (line,) = result.stderr.splitlines()
    assert json.loads(result.stdout) == {
        "error": line.removeprefix("widthwise: "),
        "nearest": Curve.load(measured / "curve.json").points[0].to_dict(),
    }


def test_a_percentage_where_accuracy_is_a_share_is_explained(invoke: Invoke, measured: Path) -> None:
    result = invoke("pick", measured, "--min-score", "95")
    assert result.exit_code == 3
    assert error_line(result).endswith("; the scores here lie between 0 and 1: 95 % is 0.95")


def test_a_run_that_is_not_there_exits_1_with_those_that_are(
    invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in "gfedcba":
        (tmp_path / "runs" / name).mkdir(parents=True)
        (tmp_path / "runs" / name / "run.json").touch()
    for words in ("runs/nosuch", "nosuch", "runs"):
        result = invoke("pick", words, "--max-params", "10")
        assert result.exit_code == 1
        assert error_line(result) == (
            f"expected a run directory {words} with a run.json, got none; take one of runs/a, runs/b, runs/c, runs/d, "
            f"runs/e, runs/f, ..., or make one: widthwise train RECIPE --out {words}"
        )


def test_a_damaged_curve_exits_1_with_the_way_out(invoke: Invoke, run_copy: Path) -> None:
    (run_copy / "curve.json").write_text("[]")
    result = invoke("pick", run_copy, "--max-params", "10")
    assert result.exit_code == 1
    assert error_line(result).endswith(f"; `widthwise curve {run_copy}` measures it anew")
    assert (run_copy / "curve.json").read_text() == "[]"


def test_no_budget_exits_2(invoke: Invoke, measured: Path) -> None:
    result = invoke("pick", measured)
    assert result.exit_code == 2
    assert "expected a budget, got none; give --max-params, --max-drop or another limit" in error_line(result)


@pytest.mark.parametrize(
    "words", [("--max-drop", "much"), ("--max-params", "0"), ("--max-params", "x"), ("--max-latency-ms", "-1")]
)
def test_a_budget_that_is_none_exits_2(invoke: Invoke, measured: Path, words: tuple[str, ...]) -> None:
    result = invoke("pick", measured, *words)
    assert result.exit_code == 2
    assert error_line(result)


def test_a_run_without_a_curve_exits_1(invoke: Invoke, trained: Path) -> None:
    result = invoke("pick", trained, "--max-params", "10")
    assert result.exit_code == 1
    assert error_line(result) == f"expected a curve in {trained}, got none; measure it: widthwise curve {trained}"


def test_a_latency_that_was_not_measured_exits_1(invoke: Invoke, measured: Path) -> None:
    result = invoke("pick", measured, "--max-latency-ms", "1")
    assert result.exit_code == 1
    assert "latenc" in error_line(result)


def test_by_evidence_it_tells_what_was_tested(invoke: Invoke, trained: Path) -> None:
    result = invoke("pick", trained, "--max-drop", "0.4", "--confidence", "0.9")
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[1].split() == ["width", "samples", "drop", "at", "most", "drop", "<=", "0.4"]
    assert any(line.endswith(" 60 samples there") for line in lines)
    assert "drop <= 0.4 with confidence 0.9" in result.stdout
    assert lines[-1].startswith(f"next: widthwise export {trained} --width ")


def test_by_evidence_json_is_the_point_with_its_evidence(invoke: Invoke, trained: Path) -> None:
    result = invoke("pick", trained, "--max-drop", "40%", "--confidence", "0.9", "--json")
    point = Point.from_dict(json.loads(result.stdout))
    assert point.evidence is not None
    assert (point.evidence.max_drop, point.evidence.confidence) == ("40%", 0.9)
    assert (point.evidence.num_available, point.evidence.guarantee) == (60, "any sample size")
    again = invoke("pick", trained, "--max-drop", "40%", "--confidence", "0.9", "--json")
    assert again.stdout == result.stdout


def test_where_full_width_is_all_that_is_proven_it_says_so(invoke: Invoke, trained: Path) -> None:
    # More samples than the shortest proof takes, and fewer than any of these networks needs.
    result = invoke("pick", trained, "--max-drop", "0.115", "--confidence", "0.995")
    assert "no narrower network is proven to have a drop <= 0.115 with confidence 0.995: full width; " in result.stdout
    assert result.stdout.splitlines()[-1].endswith("--width 1 --format onnx")


def test_too_few_samples_exit_3_and_say_how_many_it_takes(invoke: Invoke, trained: Path) -> None:
    result = invoke("pick", trained, "--max-drop", "0.01", "--confidence", "0.95")
    assert result.exit_code == 3
    assert error_line(result).startswith(
        "no width can be proven to keep to max_drop=0.01 with confidence 0.95 on 60 samples; it takes at least 338 "
    )


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--max-params", "200", "--confidence", "0.9"), "expected --confidence with --max-drop and no other limit"),
        (
            ("--max-drop", "0.1", "--min-score", "0.5", "--confidence", "0.9"),
            "expected --confidence with --max-drop and no other limit",
        ),
        (("--max-drop", "0.1", "--confidence", "95"), "expected --confidence to lie between 0 and 1, got 95"),
        (("--max-drop", "0.1", "--data", "x"), "expected --data with --confidence, got it alone"),
    ],
)
def test_a_confidence_that_means_nothing_is_bad_usage(
    invoke: Invoke, measured: Path, words: tuple[str, ...], expected: str
) -> None:
    result = invoke("pick", measured, *words)
    assert result.exit_code == 2
    assert expected in error_line(result)
