import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.cli.conftest import Invoke, error_line
from tests.training.conftest import TINY
from widthwise.cli import app
from widthwise.curves import Curve
from widthwise.training import parse_recipe, train


@pytest.fixture(scope="module")
def jittered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run that was trained for a search, for reading only."""
    recipe = parse_recipe(TINY, overrides=["elastic.sharing=jittered"])
    return train(recipe, tmp_path_factory.mktemp("jittered") / "run").path


@pytest.fixture(scope="module")
def searched(jittered: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with a search, for reading only."""
    path = tmp_path_factory.mktemp("searched") / "run"
    shutil.copytree(jittered, path)
    result = CliRunner().invoke(app, ["search", str(path), "--max-macs", "600,300", "--no-latency"])
    assert result.exit_code == 0, result.stderr
    return path


@pytest.fixture
def run_copy(jittered: Path, tmp_path: Path) -> Path:
    shutil.copytree(jittered, tmp_path / "run")
    return tmp_path / "run"


def test_each_budget_gets_its_answer_and_the_next_step_is_told(invoke: Invoke, run_copy: Path) -> None:
    result = invoke("search", run_copy, "--max-macs", "600,300", "--no-latency")
    assert result.exit_code == 0, result.stderr
    found = Curve.load(run_copy / "search.json")
    lines = result.stdout.splitlines()
    for words, budget in (("at most 600 MACs:", 600), ("at most 300 MACs:", 300)):
        place = lines.index(words)
        widths = found.pick(max_macs=budget).widths
        assert f"fc1 {widths['fc1']}, fc2 {widths['fc2']}" in lines[place + 1]
    assert lines[-2:] == [
        f"written: {run_copy / 'search.json'}",
        f"next: widthwise export {run_copy} --from search --max-macs 300",
    ]


def test_validation_decides_and_the_test_score_stands_beside_it(searched: Path) -> None:
    found = Curve.load(searched / "search.json")
    assert found.name == "accuracy"
    assert all(set(point.scores) == {"accuracy", "test_accuracy"} for point in found)


def test_the_hint_exports_what_was_found(invoke: Invoke, searched: Path, tmp_path: Path) -> None:
    path = tmp_path / "small.safetensors"
    result = invoke("export", searched, "--from", "search", "--max-macs", "300", "--out", path, "--json")
    assert result.exit_code == 0, result.stderr
    point = Curve.load(searched / "search.json").pick(max_macs=300)
    content = json.loads(result.stdout)
    assert content["widths"] == point.widths
    assert content["bytes"] == point.bytes == path.stat().st_size


def test_pick_takes_from_the_search_where_it_is_told_to(invoke: Invoke, searched: Path) -> None:
    result = invoke("pick", searched, "--from", "search", "--max-macs", "300", "--json")
    assert json.loads(result.stdout) == Curve.load(searched / "search.json").pick(max_macs=300).to_dict()


def test_json_tells_the_answers_and_all_points(invoke: Invoke, run_copy: Path) -> None:
    result = invoke("search", run_copy, "--max-params", "200", "--no-latency", "--json", "--method", "evolution")
    assert result.exit_code == 0, result.stderr
    content, found = json.loads(result.stdout), Curve.load(run_copy / "search.json")
    assert content["curve"] == found.to_dict()
    assert content["answers"] == [{"params": 200, "point": found.pick(max_params=200).to_dict()}]


def test_a_finished_search_is_not_made_again(invoke: Invoke, searched: Path) -> None:
    before = (searched / "search.json").read_text()
    assert invoke("search", searched, "--max-macs", "600,300", "--no-latency").exit_code == 0
    assert json.loads((searched / "search.json").read_text())["search"] == json.loads(before)["search"]


@pytest.mark.filterwarnings("default")
def test_a_run_that_was_trained_at_common_fractions_is_told_of(invoke: Invoke, trained: Path, tmp_path: Path) -> None:
    shutil.copytree(trained, tmp_path / "run")
    result = invoke("search", tmp_path / "run", "--max-macs", "300", "--no-latency")
    assert result.exit_code == 0
    assert result.stderr.startswith("widthwise: note: expected a law that draws widths which differ between groups, ")


def test_a_new_training_removes_the_search(invoke: Invoke, searched: Path, tmp_path: Path) -> None:
    shutil.copytree(searched, tmp_path / "run")
    (tmp_path / "tiny.toml").write_text(TINY, encoding="utf-8")
    assert invoke("train", tmp_path / "tiny.toml", "--out", tmp_path / "run", "--overwrite").exit_code == 0
    assert not (tmp_path / "run" / "search.json").exists()


@pytest.mark.parametrize("as_json", [False, True])
def test_where_the_narrowest_does_not_fit_it_exits_3_and_names_it(
    invoke: Invoke, run_copy: Path, as_json: bool
) -> None:
    result = invoke("search", run_copy, "--max-macs", "600,5", "--no-latency", *(["--json"] if as_json else []))
    assert result.exit_code == 3
    line = result.stderr.removeprefix("widthwise: ").rstrip("\n")
    assert line.startswith("no point has at most 5 MACs; the nearest is width 0.25 with ")
    if as_json:
        content = json.loads(result.stdout)
        assert content["error"] == line
        assert content["nearest"]["width"] == 0.25


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            (),
            (
                "expected a budget to search under, got none; give max_params or max_macs or max_bytes or "
                "max_latency_ms or max_memory"
            ),
        ),
        (("--max-macs", "many"), "expected numbers between commas for --max-macs, such as 200000,100000, got 'many'"),
        (("--max-macs", "5,0"), "expected max_macs to be a positive number, got 0; give such a number"),
        (("--max-macs", "5,6", "--max-params", "7,8"), "expected several numbers for one limit at most, got them for"),
        (("--max-macs", "5", "--samples", "0"), "--samples"),
        (("--max-macs", "5", "--method", "luck"), "--method"),
    ],
)
def test_a_budget_or_setting_that_is_none_exits_2(
    invoke: Invoke, run_copy: Path, words: tuple[str, ...], message: str
) -> None:
    result = invoke("search", run_copy, *words)
    assert result.exit_code == 2
    assert message in error_line(result)


def test_picking_from_a_search_that_was_not_made_exits_1(invoke: Invoke, trained: Path) -> None:
    result = invoke("pick", trained, "--from", "search", "--max-macs", "300")
    assert result.exit_code == 1
    assert error_line(result) == (
        f"expected a search in {trained}, got none; make one: widthwise search {trained} --max-macs N"
    )


def test_a_damaged_search_exits_1(invoke: Invoke, run_copy: Path) -> None:
    (run_copy / "search.json").write_text("{")
    result = invoke("pick", run_copy, "--from", "search", "--max-macs", "300")
    assert result.exit_code == 1
    assert error_line(result).endswith("; move it away, and search again")
    assert invoke("search", run_copy, "--max-macs", "300").exit_code == 1
    assert (run_copy / "search.json").read_text() == "{"
