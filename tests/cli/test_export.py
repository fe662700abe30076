import json
import math
import warnings
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.cli.conftest import Invoke, error_line
from tests.training.conftest import make_splits
from widthwise._shared import MissingExtraError
from widthwise.cli import export as export_verb
from widthwise.curves import Curve
from widthwise.training import Run


def test_the_file_holds_the_network_of_the_width(invoke: Invoke, trained: Path, tmp_path: Path) -> None:
    result = invoke("export", trained, "--width", "0.5", "--out", tmp_path / "small.safetensors")
    assert result.exit_code == 0, result.stderr
    small = Run.open(trained).load_model().extract(0.5)
    found = load_file(tmp_path / "small.safetensors")
    assert {name: tuple(tensor.shape) for name, tensor in found.items()} == {
        name: tuple(tensor.shape) for name, tensor in small.state_dict().items()
    }
    assert all(torch.equal(found[name], tensor) for name, tensor in small.state_dict().items())


def test_size_and_parity_are_told(invoke: Invoke, run_copy: Path) -> None:
    result = invoke("export", run_copy, "--width", "0.5")
    path = run_copy / "exports" / "tiny-w0.5.safetensors"
    assert result.stdout.startswith("width 0.5  (fc1 16, fc2 16)\n")
    assert f"written: {path}, {path.stat().st_size / 1000:.1f} kB, beside it " in result.stdout
    assert (
        "read back and compared with the run on 60 validation inputs, together and one alone: outputs differ by at "
        "most 0 of the largest\n" in result.stdout
    )


def test_json_tells_the_same(invoke: Invoke, run_copy: Path) -> None:
    content = json.loads(invoke("export", run_copy, "--width", "0.5", "--json").stdout)
    path = run_copy / "exports" / "tiny-w0.5.safetensors"
    assert content == {
        "path": str(path),
        "neighbours": [str(path.with_suffix(suffix)) for suffix in (".config.json", ".load.py")],
        "bytes": path.stat().st_size,
        "max_difference": 0.0,
        "num_compared": 60,
        "widths": {"fc1": 16, "fc2": 16},
    }


def test_a_budget_exports_the_point_that_pick_picks(invoke: Invoke, measured: Path, tmp_path: Path) -> None:
    point = Curve.load(measured / "curve.json").pick(max_params=300)
    result = invoke("export", measured, "--max-params", "300", "--out", tmp_path / "small.pt", "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["widths"] == point.widths


def test_what_is_proven_is_exported_in_one_go(invoke: Invoke, trained: Path, tmp_path: Path) -> None:
    asked = ("--max-drop", "0.4", "--confidence", "0.9", "--json")
    point = json.loads(invoke("pick", trained, *asked).stdout)
    result = invoke("export", trained, *asked, "--out", tmp_path / "small.pt")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["widths"] == point["widths"]
    assert point["widths"]["fc1"] < 32


@pytest.mark.parametrize(
    ("given", "got"),
    [
        ((), "no limit"),
        (("--width", "0.5", "--max-drop", "0.4"), "--width"),
        (("--max-drop", "0.4", "--from", "search"), "--from search"),
    ],
)
def test_a_confidence_goes_with_a_drop_alone(invoke: Invoke, trained: Path, given: tuple[str, ...], got: str) -> None:
    result = invoke("export", trained, "--confidence", "0.9", *given)
    assert result.exit_code == 2
    assert f"expected --confidence with --max-drop alone, got {got}; give --max-drop and no more" in error_line(result)


def test_the_picked_width_names_the_file(invoke: Invoke, measured: Path) -> None:
    point = Curve.load(measured / "curve.json").pick(max_params=300)
    content = json.loads(invoke("export", measured, "--max-params", "300", "--json").stdout)
    assert Path(content["path"]).name == f"tiny-w{point.label}.safetensors"


@pytest.mark.slow
@pytest.mark.parametrize("file_format", ["onnx", "pt2", "pt"])
def test_every_format_is_read_back_and_agrees(invoke: Invoke, run_copy: Path, file_format: str) -> None:
    result = invoke("export", run_copy, "--width", "0.5", "--format", file_format, "--json")
    assert result.exit_code == 0, result.stderr
    content = json.loads(result.stdout)
    assert Path(content["path"]).suffix == f".{file_format}"
    assert content["max_difference"] < 1e-5


@pytest.mark.slow
def test_onnx_runs_elsewhere_with_the_numbers_of_the_run(invoke: Invoke, run_copy: Path) -> None:
    runtime = pytest.importorskip("onnxruntime")
    assert invoke("export", run_copy, "--width", "0.5", "--format", "onnx").exit_code == 0
    session = runtime.InferenceSession(str(run_copy / "exports" / "tiny-w0.5.onnx"))
    inputs = make_splits().test.tensors[0]
    found = torch.from_numpy(session.run(None, {session.get_inputs()[0].name: inputs.numpy()})[0])
    model = Run.open(run_copy).load_model()
    with torch.no_grad(), model.at(0.5):
        expected = model(inputs)
    assert float((found - expected).abs().max()) <= 1e-5 * float(expected.abs().max())


def test_a_width_that_was_not_trained_is_told(invoke: Invoke, run_copy: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        result = invoke("export", run_copy, "--width", "0.125")
    assert result.exit_code == 0, result.stderr
    assert result.stderr.startswith("widthwise: note: ")
    assert len(result.stderr.splitlines()) == 1
    assert "lowest=0.25" in result.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "expected a --width or a budget such as --max-params, got none of them; give one"),
        (
            ("--width", "0.5", "--max-params", "9"),
            "expected a --width or a budget such as --max-params, got both; give",
        ),
        (("--width", "0"), "must lie in (0, 1], got 0.0"),
        (("--width", "1.5"), "must lie in (0, 1], got 1.5"),
        (("--width", "64"), "got 64.0; 0.5 keeps half of the units (16 of 32 in fc1), 1.0 all"),
        (("--width", "0.5", "--format", "tflite"), "tflite"),
        (
            ("--width", "0.5", "--format", "pt", "--out", "a.onnx"),
            "expected --out to end in .pt, got a.onnx; leave out --format or change the name",
        ),
    ],
)
def test_bad_usage_exits_2_in_one_line(invoke: Invoke, trained: Path, words: tuple[str, ...], message: str) -> None:
    result = invoke("export", trained, *words)
    assert result.exit_code == 2
    assert message in error_line(result)


def test_an_unknown_ending_exits_2(invoke: Invoke, trained: Path, tmp_path: Path) -> None:
    result = invoke("export", trained, "--width", "0.5", "--out", tmp_path / "small.h5")
    assert result.exit_code == 2
    assert (
        "expected a file name ending in one of .safetensors, .pt, .pt2, .onnx, .pte, or a folder ending in / for "
        "Hugging Face, got 'small.h5'; choose one of these"
    ) in error_line(result)
    assert list(tmp_path.iterdir()) == []


def test_a_budget_that_nothing_meets_exits_3(invoke: Invoke, measured: Path) -> None:
    result = invoke("export", measured, "--max-params", "3")
    assert result.exit_code == 3
    assert error_line(result).startswith("no point has at most 3 parameters; the nearest is width ")
    assert json.loads(invoke("export", measured, "--max-params", "3", "--json").stdout)["nearest"]["width"] == 0.25


def test_a_file_under_a_budget_of_bytes_is_no_larger(invoke: Invoke, measured: Path, tmp_path: Path) -> None:
    for point in Curve.load(measured / "curve.json"):
        path = tmp_path / "small.safetensors"
        result = invoke("export", measured, "--max-bytes", str(point.bytes), "--out", path)
        assert result.exit_code == 0, result.stderr
        assert path.stat().st_size == Curve.load(measured / "curve.json").pick(max_bytes=point.bytes).bytes
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "small.config.json",
        "small.load.py",
        "small.safetensors",
    ]


def test_a_file_over_a_budget_of_bytes_exits_3_and_is_not_kept(invoke: Invoke, measured: Path, tmp_path: Path) -> None:
    point = Curve.load(measured / "curve.json").points[0]
    (tmp_path / "small.pt2").write_text("an older file")
    words = ("export", measured, "--max-bytes", str(point.bytes), "--out", tmp_path / "small.pt2")
    result = invoke(*words)
    assert result.exit_code == 3
    line = error_line(result)
    assert line.startswith(f"expected a file of at most {point.bytes:,} bytes, got ")
    assert line.endswith(" as .pt2; it was not kept: take another format, such as .safetensors, or a narrower width")
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("small.pt2", "an older file")]
    content = json.loads(invoke(*words, "--json").stdout)
    assert content == {"error": line, "nearest": point.to_dict()}


def test_a_damaged_curve_exits_1_with_the_way_out(invoke: Invoke, run_copy: Path) -> None:
    (run_copy / "curve.json").write_text("{}")
    result = invoke("export", run_copy, "--max-params", "300")
    assert result.exit_code == 1
    assert error_line(result).endswith(f"; `widthwise curve {run_copy}` measures it anew")


def test_an_output_that_cannot_be_written_exits_1(invoke: Invoke, trained: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for folder in (tmp_path / "file", tmp_path / "file" / "inner"):
        result = invoke("export", trained, "--width", "0.5", "--out", folder / "small.pt")
        assert result.exit_code == 1
        assert error_line(result) == (
            f"expected a folder to write small.pt into, got the file {tmp_path / 'file'}; give --out in another folder"
        )
    assert (tmp_path / "file").read_text() == "mine"


def test_a_folder_that_cannot_be_made_exits_1(
    invoke: Invoke, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(folder: Path, **_: object) -> None:
        raise PermissionError(13, "Permission denied", str(folder))

    monkeypatch.setattr(Path, "mkdir", refuse)
    result = invoke("export", trained, "--width", "0.5", "--out", tmp_path / "locked" / "small.pt")
    assert result.exit_code == 1
    assert error_line(result) == (
        f"expected a folder to write small.pt into, got Permission denied at {tmp_path / 'locked'}; "
        "give --out in another folder"
    )


def test_a_missing_extra_exits_1_and_names_it(invoke: Invoke, trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise MissingExtraError("export to this format needs onnx; install it with: pip install 'widthwise[export]'")

    monkeypatch.setattr(export_verb, "export_file", fail)
    result = invoke("export", trained, "--width", "0.5", "--format", "onnx")
    assert result.exit_code == 1
    assert error_line(result).endswith("pip install 'widthwise[export]'")


def test_the_exported_network_is_the_one_that_was_scored(invoke: Invoke, measured: Path, tmp_path: Path) -> None:
    point = Curve.load(measured / "curve.json").points[1]
    path = tmp_path / "small.safetensors"
    assert invoke("export", measured, "--max-params", str(point.params), "--out", path).exit_code == 0
    net = Run.open(measured).load_model().extract(point)
    net.load_state_dict(load_file(path))
    inputs, labels = make_splits().validation.tensors
    accuracy = float((net(inputs).argmax(1) == labels).double().mean())
    assert math.isclose(accuracy, point.score, abs_tol=1e-12)
