import json
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_model
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import widthwise as ww
from tests.conftest import RandomStateCheck
from tests.networks import LAW, make_generator, make_model
from widthwise._shared import ExportError, MissingExtraError, WidthError
from widthwise.elastic import Elastic
from widthwise.graph import Example
from widthwise.slicing import export as export_module
from widthwise.slicing import export_network
from widthwise.slicing.formats import Format, Plain
from widthwise.zoo.models import MLP

SUFFIXES = [".safetensors", ".pt", ".pt2", pytest.param(".onnx", marks=pytest.mark.slow)]
suffixes = pytest.mark.parametrize("suffix", SUFFIXES)


class Named(nn.Module):
    """Takes two inputs by name and returns two outputs."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.fc, self.side, self.head = nn.Linear(4, hidden), nn.Linear(2, hidden), nn.Linear(hidden, 3)

    def forward(self, x: Tensor, mask: Tensor) -> dict[str, Tensor]:
        hidden = torch.relu(self.fc(x)) - torch.sigmoid(self.side(mask))
        return {"logits": self.head(hidden), "sum": hidden.sum(-1)}


@pytest.fixture(scope="module")
def mlp() -> Elastic:
    """A perceptron 6-10-7-3; half of it is 6-5-4-3."""
    return make_model("mlp", torch.float32)


def read_outputs(path: Path, own: nn.Module, *inputs: Tensor) -> list[Tensor]:
    """What a file computes, by nothing but its own runtime; `own` takes the weights of a file that holds no more."""
    if path.suffix == ".onnx":
        session = pytest.importorskip("onnxruntime").InferenceSession(str(path))
        feeds = {entry.name: x.numpy() for entry, x in zip(session.get_inputs(), inputs, strict=True)}
        return [torch.from_numpy(value) for value in session.run(None, feeds)]
    if path.suffix == ".pt2":
        own = torch.export.load(path).module()
    elif path.suffix == ".pt":
        own.load_state_dict(torch.load(path, weights_only=True))
    else:
        load_model(own, path)
    outputs = own(*inputs)
    return [outputs] if isinstance(outputs, Tensor) else list(outputs.values())


def read_facts(path: Path) -> dict[str, str]:
    if path.suffix == ".onnx":
        return {entry.key: entry.value for entry in pytest.importorskip("onnx").load(path).metadata_props}
    if path.suffix == ".pt2":
        found = {"widthwise.json": ""}
        torch.export.load(path, extra_files=found)
        return json.loads(found["widthwise.json"])
    with safe_open(path, framework="pt") as file:
        return file.metadata()


def assert_close(one: Tensor, other: Tensor) -> None:
    torch.testing.assert_close(one, other, rtol=0, atol=1e-5 * float(other.detach().abs().max()))


@suffixes
def test_a_file_computes_in_its_own_runtime_what_the_model_does_at_the_width(
    suffix: str, mlp: Elastic, tmp_path: Path
) -> None:
    exported = ww.export(mlp, 0.5, tmp_path / f"net{suffix}")
    assert exported.path == tmp_path / f"net{suffix}"
    assert exported.max_difference <= 1e-6
    for num_samples in (1, 2, 5):
        x = torch.randn(num_samples, 6)
        with mlp.at(0.5):
            assert_close(read_outputs(exported.path, MLP([6, 5, 4, 3]), x)[0], mlp(x))


@suffixes
def test_inputs_by_name_are_those_of_the_file(suffix: str, tmp_path: Path) -> None:
    model = Elastic(Named(8).eval(), {"mask": torch.randn(3, 2), "x": torch.randn(3, 4)}, law=LAW)
    small = model.extract(0.5)
    exported = ww.export(model, 0.5, tmp_path / f"net{suffix}")
    for num_samples in (1, 5):
        x, mask = torch.randn(num_samples, 4), torch.randn(num_samples, 2)
        in_order = (x, mask) if suffix in (".pt", ".safetensors") else (mask, x)
        expected = small(x=x, mask=mask)
        for one, other in zip(read_outputs(exported.path, Named(4), *in_order), expected.values(), strict=True):
            assert_close(one, other)


@pytest.mark.parametrize("suffix", [".safetensors", ".pt2", pytest.param(".onnx", marks=pytest.mark.slow)])
def test_a_file_says_where_it_comes_from(suffix: str, mlp: Elastic, tmp_path: Path) -> None:
    point = ww.Point(
        width=0.5, widths={"fc1": 5, "fc2": 4}, score=0.75, scores={}, params=1, macs=1, bytes=1, latency_ms=1
    )
    facts = read_facts(ww.export(mlp, point, tmp_path / f"net{suffix}").path)
    assert facts == {
        "made_by": f"widthwise {ww.__version__}",
        "torch": str(torch.__version__),
        "widths": json.dumps(mlp.widths(0.5)),
        "score": "0.75",
    }


def test_a_width_without_a_score_leaves_it_out(mlp: Elastic, tmp_path: Path) -> None:
    facts = read_facts(ww.export(mlp, {"fc1": 3}, tmp_path / "net.safetensors").path)
    assert facts["widths"] == json.dumps({"fc1": 3, "fc2": 7})
    assert "score" not in facts


@suffixes
def test_a_file_is_no_larger_than_that_of_a_network_built_at_that_size(
    suffix: str, mlp: Elastic, tmp_path: Path
) -> None:
    exported = ww.export(mlp, 0.5, tmp_path / f"net{suffix}")
    by_hand = Plain(
        net=MLP([6, 5, 4, 3]).eval(), example=Example(args=(torch.randn(2, 6),), kwargs={}), batch_axes=[0], facts={}
    )
    plain = export_network(by_hand, tmp_path / f"by_hand{suffix}", [by_hand.example])
    assert exported.size_bytes <= plain.size_bytes + 4096


def test_no_tensor_of_a_file_keeps_the_storage_of_the_large_network(tmp_path: Path) -> None:
    model = Elastic(MLP([6, 400, 300, 3]).eval(), (torch.randn(2, 6),), law=LAW)
    exported = ww.export(model, 0.02, tmp_path / "net.pt")
    state = torch.load(exported.path, weights_only=True)
    assert state["fc2.weight"].shape == (6, 8)
    assert all(tensor.untyped_storage().nbytes() == tensor.nbytes for tensor in state.values())
    assert exported.size_bytes < 10_000


@pytest.mark.parametrize("suffix", [".pt", ".pt2", pytest.param(".onnx", marks=pytest.mark.slow)])
def test_a_network_that_only_its_graph_can_express_is_exported_too(suffix: str, tmp_path: Path) -> None:
    model = make_model("literal", torch.float32)
    small = model.extract(0.5)
    assert isinstance(small, torch.fx.GraphModule)
    exported = ww.export(model, 0.5, tmp_path / f"net{suffix}")
    x = torch.randn(5, 5)
    with model.at(0.5):
        assert_close(read_outputs(exported.path, small, x)[0], model(x))


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_copying_a_graph_gives_no_warning(suffix: str, tmp_path: Path) -> None:
    model = make_model("literal", torch.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert ww.export(model, 0.5, tmp_path / f"net{suffix}").max_difference == 0.0


def test_whole_numbers_go_in_as_they_are(tmp_path: Path) -> None:
    model = make_model("tokens", torch.float32)
    exported = ww.export(model, 0.5, tmp_path / "net.pt2")
    tokens = torch.randint(0, 11, (5, 3), generator=make_generator(0))
    with model.at(0.5):
        assert_close(read_outputs(exported.path, model, tokens)[0], model(tokens))


@pytest.mark.parametrize("suffix", [".safetensors", ".pt2"])
def test_calibrated_statistics_are_those_of_the_file(suffix: str, tmp_path: Path) -> None:
    model = make_model("mlp-norm", torch.float32)
    loader = DataLoader(TensorDataset(3 * torch.randn(64, 2, 3) + 1), batch_size=16)
    small = model.extract(0.5, calibrate=loader)
    x = torch.randn(5, 2, 3)
    found = read_outputs(
        ww.export(model, 0.5, tmp_path / f"net{suffix}", calibrate=loader).path,
        MLP([6, 5, 4, 3], batch_norm=True).eval(),
        x,
    )
    assert_close(found[0], small(x))
    assert not torch.allclose(small(x), model.extract(0.5)(x), atol=0.1)


def test_a_refitted_head_is_that_of_the_file(mlp: Elastic, tmp_path: Path) -> None:
    labels = torch.randint(0, 3, (64,), generator=make_generator(1))
    loader = DataLoader(TensorDataset(torch.randn(64, 6), labels), batch_size=64)
    small = mlp.extract(0.5, refit=loader)
    x = torch.randn(5, 6)
    found = read_outputs(ww.export(mlp, 0.5, tmp_path / "net.pt", refit=loader).path, MLP([6, 5, 4, 3]), x)
    assert_close(found[0], small(x))
    assert not torch.allclose(small(x), mlp.extract(0.5)(x), atol=0.1)


def test_own_inputs_are_what_the_file_is_compared_on(mlp: Elastic, tmp_path: Path) -> None:
    inputs = (Example(args=(torch.randn(size, 6),), kwargs={}) for size in (4, 3))
    assert ww.export(mlp, 0.5, tmp_path / "net.pt", inputs=inputs).num_inputs == 7
    assert ww.export(mlp, 0.5, tmp_path / "net.pt").num_inputs == 3


def test_export_leaves_the_model_and_the_global_random_state_alone(
    mlp: Elastic, tmp_path: Path, untouched_random_state: RandomStateCheck
) -> None:
    before = {name: tensor.clone() for name, tensor in mlp.state_dict().items()}
    mlp.train()
    with untouched_random_state():
        for suffix in (".safetensors", ".pt", ".pt2"):
            ww.export(mlp, 0.5, tmp_path / f"net{suffix}")
    assert mlp.training
    mlp.eval()
    assert all(torch.equal(before[name], tensor) for name, tensor in mlp.state_dict().items())


def test_a_file_that_computes_something_else_is_not_kept(
    mlp: Elastic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    genuine = export_module.find_format("net.pt")

    def write(plain: Plain, path: Path) -> None:
        torch.save({name: 1.01 * tensor for name, tensor in plain.net.state_dict().items()}, path)

    monkeypatch.setattr(export_module, "find_format", lambda _: Format(write=write, read=genuine.read))
    (tmp_path / "net.pt").write_text("an older file")
    with pytest.raises(ExportError, match=r"^expected net\.pt to compute what the network does, got a relative diff"):
        ww.export(mlp, 0.5, tmp_path / "net.pt")
    assert [path.name for path in tmp_path.iterdir()] == ["net.pt"]
    assert (tmp_path / "net.pt").read_text() == "an older file"


def test_an_unknown_suffix_is_an_error_before_any_work(mlp: Elastic, tmp_path: Path) -> None:
    def fail() -> Any:
        raise AssertionError("read the loader")
        yield

    with pytest.raises(ExportError, match=r"^expected a file name ending in one of .*, got 'net\.tflite'; choose one"):
        ww.export(mlp, 0.5, tmp_path / "net.tflite", refit=fail())
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_is_an_error(mlp: Elastic, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"none/net\.pt, got: No such file or directory; create the folder, or give"):
        ww.export(mlp, 0.5, tmp_path / "none" / "net.pt")


def test_a_missing_extra_leaves_nothing_behind(mlp: Elastic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingExtraError) as caught:
        ww.export(mlp, 0.5, tmp_path / "net.onnx")
    assert str(caught.value) == ("export to this format needs onnx; install it with: pip install 'widthwise[export]'")
    assert list(tmp_path.iterdir()) == []


def test_a_network_that_takes_some_batches_only_is_exported_as_weights_only(tmp_path: Path) -> None:
    class Branching(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.head = nn.Linear(4, 8), nn.Linear(8, 2)

        def forward(self, x: Tensor) -> Tensor:
            out = self.head(torch.relu(self.fc(x)))
            return out if x.shape[0] < 16 else -out

    model = Elastic(Branching().eval(), (torch.randn(3, 4),), law=LAW)
    with pytest.raises(ExportError, match=r"^expected a network that torch\.export can write with any batch size, got"):
        ww.export(model, 0.5, tmp_path / "net.pt2")
    assert list(tmp_path.iterdir()) == []
    assert ww.export(model, 0.5, tmp_path / "net.safetensors").max_difference == 0.0


def test_a_width_out_of_range_is_an_error(mlp: Elastic, tmp_path: Path) -> None:
    with pytest.raises(WidthError):
        ww.export(mlp, 0.0, tmp_path / "net.pt")
    assert list(tmp_path.iterdir()) == []
