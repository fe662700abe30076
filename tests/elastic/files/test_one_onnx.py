"""One ONNX file with the widths as inputs, written by `widthwise.elastic.files.one_file`."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import widthwise as ww
from tests.elastic.files.test_one_file import batches
from tests.networks import CASES, LAW, draw_widths, make_generator, make_model, randomize
from widthwise._shared import ExportError, MissingExtraError
from widthwise.elastic import Elastic, Law
from widthwise.elastic.files import one_file
from widthwise.zoo.models import LSTMLanguageModel, VisionTransformer

pytest.importorskip("onnx")
pytest.importorskip("onnxscript")
onnxruntime = pytest.importorskip("onnxruntime")


def run(path: Path, inputs: dict[str, Tensor], widths: dict[str, int]) -> list[Tensor]:
    """What a file computes, by nothing but its own runtime."""
    session = onnxruntime.InferenceSession(str(path))
    feeds = {name: x.numpy() for name, x in inputs.items()}
    feeds |= {f"width.{name}": torch.tensor(units).numpy() for name, units in widths.items()}
    return [torch.from_numpy(value) for value in session.run(None, feeds)]


def assert_close(one: Tensor, other: Tensor) -> None:
    torch.testing.assert_close(one, other, rtol=0, atol=1e-5 * float(other.detach().abs().max()))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mlp", "join", "tokens"])
def test_one_file_is_right_at_every_width(name: str, tmp_path: Path) -> None:
    model = make_model(name, torch.float32)
    saved = ww.save_elastic(model, tmp_path / "all.onnx")
    assert saved.size_bytes == (tmp_path / "all.onnx").stat().st_size
    assert model.widths(0.5) in saved.checked
    name_of = {"mlp": "x_BI", "join": "x", "tokens": "tokens"}[name]
    for seed in range(6):
        widths = draw_widths(model, seed)
        for num_samples in (1, 2, 5):
            (x,), _ = CASES[name].sample(num_samples, make_generator(seed), torch.float32)
            with torch.no_grad(), model.at(widths):
                expected = model(x)
            assert_close(run(saved.path, {name_of: x}, widths)[0], expected)


@pytest.mark.slow
def test_heads_and_hidden_layers_of_a_transformer_are_inputs(tmp_path: Path) -> None:
    net = VisionTransformer(num_classes=3, side=8, patch=4, width=16, depth=1, num_heads=4, hidden=24).eval()
    model = Elastic(net, (torch.rand(2, 3, 8, 8),), law=LAW)
    path = ww.save_elastic(model, tmp_path / "all.onnx").path
    moving = {group.name: group for group in model.groups if group.follows}
    x = torch.rand(3, 3, 8, 8)
    for fraction in (0.01, 0.3, 0.5, 1.0):
        widths = {name: group.units_at(fraction) for name, group in moving.items()}
        with torch.no_grad(), model.at(widths):
            assert_close(run(path, {"x_BCSS": x}, widths)[0], model(x))


@pytest.mark.slow
def test_statistics_of_each_width_are_in_the_file(tmp_path: Path) -> None:
    model = make_model("resnet", torch.float32, Law(lowest=0.1))
    loader = batches(2, 6, 6)
    path = ww.save_elastic(model, tmp_path / "all.onnx", widths=[0.25, 0.5], calibrate=loader).path
    x = torch.randn(3, 2, 6, 6)
    for width in (0.25, 0.5, 1.0):
        expected = model.extract(width, calibrate=None if width == 1.0 else loader)
        assert_close(run(path, {"x_BCHW": x}, model.widths(width))[0], expected(x))


@pytest.mark.slow
def test_a_file_says_what_its_inputs_are(tmp_path: Path) -> None:
    path = ww.save_elastic(make_model("mlp", torch.float32), tmp_path / "all.onnx").path
    session = onnxruntime.InferenceSession(str(path))
    assert [(entry.name, entry.type) for entry in session.get_inputs()] == [
        ("x_BI", "tensor(float)"),
        ("width.fc1", "tensor(int64)"),
        ("width.fc2", "tensor(int64)"),
    ]
    facts = session.get_modelmeta().custom_metadata_map
    assert json.loads(facts["widths"]) == {"fc1": 10, "fc2": 7}
    assert json.loads(facts["lowest"]) == {"fc1": 1, "fc2": 1}
    assert str(Path(one_file.__file__).parent).encode() not in path.read_bytes()


@pytest.mark.slow
def test_a_file_that_computes_something_else_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    genuine = one_file.read_onnx

    class Another(nn.Module):
        def __init__(self, net: nn.Module) -> None:
            super().__init__()
            self.net = net

        def forward(self, x: Tensor) -> Tensor:
            return 1.001 * self.net(x)

    def read(*args: Any) -> Any:
        return lambda units: Another(genuine(*args)(units))

    monkeypatch.setattr(one_file, "read_onnx", read)
    with pytest.raises(
        ExportError, match=r"^expected \.onnx to give what the model computes, got something else at \{'fc"
    ):
        ww.save_elastic(make_model("mlp", torch.float32), tmp_path / "all.onnx")
    assert list(tmp_path.iterdir()) == []


def assert_refused(model: Elastic, message: str, folder: Path) -> None:
    with pytest.raises(ExportError) as caught:
        ww.save_elastic(model, folder / "all.onnx")
    assert str(caught.value) == f"{message}; save .safetensors, or export the widths that you need one by one"
    assert list(folder.iterdir()) == []


def test_a_recurrent_layer_is_refused(tmp_path: Path) -> None:
    tokens = torch.randint(20, (5, 3), generator=make_generator(0))
    model = Elastic(LSTMLanguageModel(20, 8, 8, carries_state=False).eval(), (tokens,), batch_dim=1)
    message = "expected a network without recurrent layers, whose width ONNX has as a constant, got aten.lstm.input"
    assert_refused(model, message, tmp_path)


def test_an_output_that_is_no_tensor_is_refused(tmp_path: Path) -> None:
    message = "expected a network that returns tensors alone, got another output"
    assert_refused(make_model("dict", torch.float32), message, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mlp", "join"])
@pytest.mark.parametrize(
    "options", [{"unit_affine": True}, {"octave_weights": True}, {"unit_affine": True, "octave_weights": True}]
)
def test_what_octaves_have_of_their_own_is_in_the_file(name: str, options: dict[str, bool], tmp_path: Path) -> None:
    model = make_model(name, torch.float32, Law(lowest=1 / 8, **options))
    for own in (model.unit_affine, model.octave_weights):
        if own is not None:
            randomize(own, 0)
    path = ww.save_elastic(model, tmp_path / "all.onnx").path
    name_of = {"mlp": "x_BI", "join": "x"}[name]
    (x,), _ = CASES[name].sample(3, make_generator(0), torch.float32)
    for widths in [*(model.widths(width) for width in (1.0, 0.8, 0.5, 0.3, 0.1)), draw_widths(model, 1)]:
        with torch.no_grad(), model.at(widths):
            expected = model(x)
        assert_close(run(path, {name_of: x}, widths)[0], expected)


class Scaled(nn.Module):
    """Divides by the square root of its width."""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.head = nn.Linear(4, 8), nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.fc(x)
        return self.head(hidden / self.fc.weight.shape[0] ** 0.5)


def test_a_number_that_follows_from_a_width_is_refused_and_stored_all_the_same(tmp_path: Path) -> None:
    model = Elastic(Scaled().eval(), (torch.randn(2, 4),), law=LAW)
    message = "expected a network without numbers that follow from widths, such as 1 / sqrt(width), got some"
    assert_refused(model, message, tmp_path)
    ww.save_elastic(model, tmp_path / "all.safetensors")
    x = torch.randn(3, 4)
    for width in (0.2, 0.5, 1.0):
        with torch.no_grad(), model.at(width):
            assert_close(ww.load(tmp_path / "all.safetensors", width)(x), model(x))


@pytest.mark.slow
def test_an_operator_that_takes_a_width_as_a_constant_is_told(tmp_path: Path) -> None:
    with pytest.raises(
        ExportError, match=r"^expected a network that ONNX can hold with its widths as inputs, got: .+; s"
    ):
        ww.save_elastic(make_model("conv", torch.float32), tmp_path / "all.onnx")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_extra_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingExtraError) as caught:
        ww.save_elastic(make_model("mlp", torch.float32), tmp_path / "all.onnx")
    assert str(caught.value) == "export to this format needs onnx; install it with: pip install 'widthwise[export]'"
    assert list(tmp_path.iterdir()) == []
