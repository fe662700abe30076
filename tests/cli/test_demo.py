import json
import tempfile
from pathlib import Path

import pytest

from tests.cli.conftest import Invoke
from tests.training.conftest import TINY
from widthwise._shared import MissingExtraError
from widthwise.cli import demo as demo_verb
from widthwise.cli import export as export_verb
from widthwise.curves import Curve
from widthwise.training import parse_recipe


@pytest.mark.slow
def test_the_demo_gives_a_network_several_times_smaller_within_one_point(invoke: Invoke, tmp_path: Path) -> None:
    run = tmp_path / "run"
    result = invoke("demo", "--out", run)
    assert result.exit_code == 0, result.stderr
    assert result.stderr == ""
    for words in ("1 trained", "2 verified", "3 measured", "4 picked", "5 exported", "times less"):
        assert words in result.stdout
    for name in ("curve.json", "curve.png", "report.html", "run.json"):
        assert (run / name).exists()
    exported = list((run / "exports").iterdir())
    assert [path.suffix for path in exported] == [".onnx"]
    assert f"the small network {exported[0]}" in result.stdout
    assert f"widthwise pick {run} --max-params 5000" in result.stdout
    curve = Curve.load(run / "curve.json")
    picked = curve.pick(max_drop=0.01)
    assert curve.full is not None
    assert curve.full.scores["test_accuracy"] > 0.94
    assert picked.params < curve.full.params / 2
    assert f"{picked.params:,}" in result.stdout
    assert invoke("pick", run, "--max-params", "5000").exit_code == 0


@pytest.mark.slow
def test_without_out_and_export_extra_weights_go_into_a_folder_of_their_own(
    invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = export_verb.export_file

    def fail(model: object, width: object, path: Path, **settings: object) -> object:
        if path.suffix == ".onnx":
            raise MissingExtraError("export needs onnx; install it with: pip install 'widthwise[export]'")
        return original(model, width, path, **settings)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(demo_verb, "load_recipe", lambda _: parse_recipe(TINY))
    monkeypatch.setattr(export_verb, "export_file", fail)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    result = invoke("demo", "--json")
    assert result.exit_code == 0, result.stderr
    assert result.stderr == (
        "widthwise: note: export needs onnx; install it with: pip install 'widthwise[export]'; "
        "writing .safetensors in place of .onnx\n"
    )
    content = json.loads(result.stdout)
    assert Path(content["run"]).parent == tmp_path
    assert Path(content["run"]).name.startswith("widthwise-demo-")
    assert Path(content["export"]["path"]).suffix == ".safetensors"
    assert content["picked"]["params"] <= content["full"]["params"]
