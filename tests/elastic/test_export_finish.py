import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import widthwise as ww
from tests.networks import make_generator, make_model
from widthwise._shared import ExportError, NoPointError, WidthError
from widthwise.elastic import Elastic
from widthwise.slicing import read_facts


@pytest.fixture(scope="module")
def mlp() -> Elastic:
    """A perceptron 6-10-7-3; half of it is 6-5-4-3."""
    return make_model("mlp", torch.float32)


def test_a_network_is_extracted_in_half_precision(mlp: Elastic) -> None:
    small, half = mlp.extract(0.5), mlp.extract(0.5, dtype="float16")
    for name, tensor in half.state_dict().items():
        assert torch.equal(tensor, small.state_dict()[name].half())
    assert not half.training
    assert {tensor.dtype for tensor in mlp.state_dict().values()} == {torch.float32}


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("suffix", [".safetensors", ".pt", ".pt2"])
def test_a_file_in_half_precision_is_compared_with_the_network_before(
    suffix: str, dtype: Any, mlp: Elastic, tmp_path: Path
) -> None:
    exported = ww.export(mlp, 0.5, tmp_path / f"net{suffix}", dtype=dtype)
    x = torch.randn(7, 6)
    small = mlp.extract(0.5)
    expected, found = small(x), exported.net(x)
    assert str(found.dtype) == f"torch.{dtype}"
    assert 0 < exported.max_difference < 32 * torch.finfo(found.dtype).eps
    assert float((found.float() - expected).abs().max().detach()) <= 0.1 * float(expected.abs().max().detach())
    assert read_facts(exported.path)["dtype"] == dtype


def test_int8_weights_are_those_of_torchao(mlp: Elastic, tmp_path: Path) -> None:
    pytest.importorskip("torchao", reason="needs torchao: pip install 'widthwise[int8]'")
    exported = ww.export(mlp, 0.5, tmp_path / "net.pt2", dtype="int8")
    assert 0 < exported.max_difference < 0.25


@pytest.mark.slow
@pytest.mark.parametrize("is_calibrated", [False, True])
def test_int8_in_onnx_is_dynamic_or_static(is_calibrated: bool, mlp: Elastic, tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx", reason="needs onnx: pip install 'widthwise[export]'")
    loader = iter([torch.randn(16, 6) for _ in range(4)]) if is_calibrated else None
    exported = ww.export(mlp, 0.5, tmp_path / "net.onnx", dtype="int8", calibrate=loader)
    assert 0 < exported.max_difference < 0.25
    operators = {node.op_type for node in onnx.load(exported.path).graph.node}
    assert ("DynamicQuantizeLinear" in operators) is not is_calibrated
    assert json.loads(read_facts(exported.path)["widths"]) == mlp.widths(0.5)


def test_what_finishes_the_network_is_in_the_file_and_told(mlp: Elastic, tmp_path: Path) -> None:
    labels = torch.randint(0, 3, (64,), generator=make_generator(1))

    def double(net: nn.Module) -> str:
        with torch.no_grad():
            for parameter in net.parameters():
                parameter.mul_(2)
        return "doubled"

    exported = ww.export(mlp, 0.5, tmp_path / "net.pt", refit=[(torch.randn(64, 6), labels)], finish=double)
    state = torch.load(exported.path, weights_only=True)
    assert torch.equal(state["fc1.weight"], 2 * mlp.extract(0.5).state_dict()["fc1.weight"])
    assert read_facts(exported.path)["finished"] == "refit, doubled"
    assert exported.max_difference == 0.0


def test_other_facts_and_every_score_are_told(mlp: Elastic, tmp_path: Path) -> None:
    scores = {"accuracy": 0.75, "test_accuracy": 0.7123456789}
    point = ww.Point(width=0.5, widths=mlp.widths(0.5), score=0.75, scores=scores, params=1, macs=1, bytes=1)
    for suffix in (".safetensors", ".pt", ".pt2"):
        facts = read_facts(ww.export(mlp, point, tmp_path / f"net{suffix}", facts={"run": "mnist"}).path)
        assert facts["run"] == "mnist"
        assert json.loads(facts["scores"]) == {"accuracy": 0.75, "test_accuracy": 0.712346}


def test_a_file_that_is_too_large_is_not_kept(mlp: Elastic, tmp_path: Path) -> None:
    with pytest.raises(NoPointError) as caught:
        ww.export(mlp, 0.5, tmp_path / "net.pt", max_bytes=10)
    text = str(caught.value)
    assert text.startswith("expected a file of at most 10 bytes, got ")
    assert text.endswith(" as .pt; it was not kept: take another format, such as .safetensors, or a narrower width")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("suffix", "dtype", "held"),
    [
        (".onnx", "bfloat16", "float32, float16, int8"),
        (".pte", "int8", "float32, float16, bfloat16"),
        (".safetensors", "int8", "float32, float16, bfloat16"),
    ],
)
def test_numbers_that_a_format_lacks_are_refused(
    suffix: str, dtype: Any, held: str, mlp: Elastic, tmp_path: Path
) -> None:
    with pytest.raises(ExportError) as caught:
        ww.export(mlp, 0.5, tmp_path / f"net{suffix}", dtype=dtype)
    assert str(caught.value) == (
        f"expected a dtype that {suffix} can hold ({held}), got {dtype}; take one of these, or another format"
    )


def test_an_unknown_dtype_is_an_error_before_any_work(mlp: Elastic, tmp_path: Path) -> None:
    with pytest.raises(
        WidthError, match=r"^expected a dtype of float32, float16, bfloat16, int8, got 'half'; leave it"
    ):
        ww.export(mlp, 0.5, tmp_path / "net.pt", dtype="half")  # type: ignore[arg-type]


def test_a_network_whose_numbers_overflow_in_half_precision_is_refused(tmp_path: Path) -> None:
    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)).eval()
    with torch.no_grad():
        net[2].weight.mul_(1e6)
    model = Elastic(net, (torch.zeros(2, 4),))
    with pytest.raises(ExportError) as caught:
        ww.export(model, 0.5, tmp_path / "net.pt", dtype="float16")
    assert str(caught.value) == (
        "expected net.pt to compute what the network does, got a relative difference of inf (at most 0.031 in "
        "float16); the file was not kept, export another dtype"
    )
    assert list(tmp_path.iterdir()) == []
