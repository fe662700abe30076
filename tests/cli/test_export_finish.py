import json
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.cli.conftest import Invoke, error_line
from tests.training.conftest import make_splits
from widthwise.slicing import read_facts
from widthwise.training import Run, labelled_batches


def read_json(invoke: Invoke, *words: str | Path) -> dict[str, Any]:
    result = invoke("export", *words, "--json")
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def test_half_precision_is_written_and_scored(invoke: Invoke, measured: Path, tmp_path: Path) -> None:
    found = read_json(invoke, measured, "--width", "0.5", "--dtype", "float16", "--out", tmp_path / "small.pt")
    state = torch.load(found["path"], weights_only=True)
    assert {tensor.dtype for tensor in state.values()} == {torch.float16}
    assert 0 < found["max_difference"] < 0.03
    net = Run.open(measured).load_model().extract(0.5, dtype="float16")
    inputs, labels = make_splits().validation.tensors
    with torch.no_grad():
        right = (net(inputs.half()).argmax(1) == labels).double().mean()
    assert found["scores"] == {"accuracy": pytest.approx(float(right), abs=1e-12)}


def test_the_score_of_the_file_is_said(invoke: Invoke, measured: Path, tmp_path: Path) -> None:
    result = invoke("export", measured, "--width", "0.5", "--dtype", "bfloat16", "--out", tmp_path / "small.pt")
    assert "accuracy of the file on the validation split, in its own runtime: " in result.stdout
    plain = invoke("export", measured, "--width", "0.5", "--out", tmp_path / "small.pt")
    assert "of the file" not in plain.stdout


def test_a_refitted_head_is_that_of_the_file(invoke: Invoke, measured: Path, tmp_path: Path) -> None:
    found = read_json(invoke, measured, "--width", "0.5", "--refit-head", "--out", tmp_path / "small.pt")
    expected = Run.open(measured).load_model().extract(0.5, refit=labelled_batches(make_splits())).state_dict()
    state = torch.load(found["path"], weights_only=True)
    assert all(torch.equal(state[name], tensor) for name, tensor in expected.items())
    assert read_facts(found["path"])["finished"] == "refit"


def test_fine_tuning_tells_what_it_brought(invoke: Invoke, measured: Path, tmp_path: Path) -> None:
    result = invoke("export", measured, "--width", "0.25", "--finetune", "2", "--out", tmp_path / "small.pt")
    assert result.exit_code == 0, result.stderr
    note = " ".join(result.stderr.split())
    assert "note: fine-tuned for 2 epochs, accuracy on the validation split: " in note
    assert "% before, " in note
    assert read_facts(tmp_path / "small.pt")["finished"] in ("finetuned 2 epochs", "finetuning undone")


@pytest.mark.slow
def test_int8_is_calibrated_on_the_training_split(invoke: Invoke, measured: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript", reason="needs onnx: pip install 'widthwise[export]'")
    words = (measured, "--width", "0.5", "--dtype", "int8", "--out", tmp_path / "small.onnx")
    found = read_json(invoke, *words)
    assert 0 < found["max_difference"] < 0.25
    assert found["scores"]["accuracy"] > 0.5
    operators = {node.op_type for node in pytest.importorskip("onnx").load(found["path"]).graph.node}
    assert "QuantizeLinear" in operators
    assert "DynamicQuantizeLinear" not in operators


def test_a_dtype_that_the_format_lacks_exits_1(invoke: Invoke, measured: Path, tmp_path: Path) -> None:
    result = invoke("export", measured, "--width", "0.5", "--dtype", "int8", "--out", tmp_path / "small.pt")
    assert result.exit_code == 1
    assert error_line(result) == (
        "expected a dtype that .pt can hold (float32, float16, bfloat16), got int8; take one of these, or another "
        "format"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_hugging_face_is_for_its_networks(invoke: Invoke, measured: Path, tmp_path: Path) -> None:
    result = invoke("export", measured, "--width", "0.5", "--format", "hf", "--out", tmp_path / "small")
    assert result.exit_code == 1
    assert error_line(result) == (
        "expected a network of transformers (a PreTrainedModel) for a folder of Hugging Face, got MLP; export "
        ".safetensors, .pt2 or .onnx"
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--dtype", "int4"), "int4"),
        (("--finetune", "0"), "'--finetune': Input should be greater than or equal to 1"),
    ],
)
def test_bad_usage_exits_2_in_one_line(invoke: Invoke, trained: Path, words: tuple[str, ...], message: str) -> None:
    result = invoke("export", trained, "--width", "0.5", *words)
    assert result.exit_code == 2
    assert message in error_line(result)
