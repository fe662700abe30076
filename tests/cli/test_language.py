"""The verbs on a run of a language model, whose score is a loss."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Invoke
from tests.training.texts import TEXT, make_text
from widthwise.curves import Curve
from widthwise.training import network, parse_recipe, train

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def verse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(network, "load_text", lambda *_: make_text())
        return train(parse_recipe(TEXT), tmp_path_factory.mktemp("verse") / "run").path


@pytest.fixture(autouse=True)
def _text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "load_text", lambda *_: make_text())


def test_train_tells_cross_entropy_and_perplexity(invoke: Invoke, verse: Path) -> None:
    result = invoke("train", verse / "recipe.toml", "--out", verse)
    assert result.exit_code == 0
    assert "validation cross entropy at full width: 0." in result.stdout
    assert "at the narrowest width (embedding 4, lstm 4): " in result.stdout
    assert result.stdout.count("(perplexity 1.") >= 1


def test_curve_pick_and_export_go_by_the_lowest_loss(invoke: Invoke, verse: Path) -> None:
    result = invoke("curve", verse, "--widths", "0.5,0.25", "--no-latency")
    assert result.exit_code == 0, result.stderr
    assert "test_cross_entropy" in result.stdout
    curve = Curve.load(verse / "curve.json")
    assert (curve.name, curve.higher_is_better, len(curve)) == ("cross_entropy", False, 3)
    assert curve.points[0].score > curve.points[-1].score

    picked = json.loads(invoke("pick", verse, "--max-drop", "100%", "--json").stdout)
    assert picked["score"] <= 2 * curve.points[-1].score

    for file_format in ("safetensors", "onnx"):
        result = invoke("export", verse, "--width", "0.5", "--format", file_format)
        assert result.exit_code == 0, result.stderr
        assert "on 8 validation inputs, together and one alone" in result.stdout


def test_groups_are_found_without_the_text(invoke: Invoke, verse: Path) -> None:
    result = invoke("groups", verse / "recipe.toml")
    assert result.exit_code == 0
    assert "lstm" in result.stdout


def test_export_finishes_a_network_that_carries_its_state(invoke: Invoke, verse: Path, tmp_path: Path) -> None:
    words = ("--width", "0.5", "--dtype", "float16", "--finetune", "1", "--out", tmp_path / "small.pt", "--json")
    result = invoke("export", verse, *words)
    assert result.exit_code == 0, result.stderr
    assert 0 < json.loads(result.stdout)["scores"]["cross_entropy"] < 10


def test_a_text_has_no_labels_to_fit_the_head_on(invoke: Invoke, verse: Path, tmp_path: Path) -> None:
    result = invoke("export", verse, "--width", "0.5", "--refit-head", "--out", tmp_path / "small.pt")
    assert result.exit_code == 2
    assert "expected samples with labels to fit the head on, got the text" in result.stderr
