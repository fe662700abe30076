from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.slicing.formats.samples import FACTS, batch_of, make_mixer, make_net, make_plain, named_batch_of
from widthwise._shared import ExportError, MissingExtraError
from widthwise.slicing.formats import FORMATS
from widthwise.slicing.formats import onnx as onnx_format

ONNX = FORMATS[".onnx"]
onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")


@pytest.fixture(scope="module")
def mixer(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    plain, path = make_mixer(), tmp_path_factory.mktemp("onnx") / "mixer.onnx"
    ONNX.write(plain, path)
    return plain, path


@pytest.mark.slow
def test_a_file_runs_in_its_runtime_on_batches_of_any_size(mixer: tuple[Any, Path]) -> None:
    plain, path = mixer
    session = onnxruntime.InferenceSession(str(path))
    names = [entry.name for entry in session.get_inputs()]
    for num_samples in (1, 2, 5):
        inputs = named_batch_of(num_samples)
        in_order = (inputs.kwargs["gate"], inputs.kwargs["extra"]["more"], inputs.kwargs["x"])
        feeds = {name: tensor.numpy() for name, tensor in zip(names, in_order, strict=True)}
        hidden, logits = map(torch.from_numpy, session.run(None, feeds))
        expected = plain.net(**inputs.kwargs)
        torch.testing.assert_close(hidden, expected["hidden"], rtol=0, atol=1e-6)
        torch.testing.assert_close(logits, expected["logits"][0], rtol=0, atol=1e-6)


@pytest.mark.slow
def test_reading_runs_the_file_and_not_the_network(mixer: tuple[Any, Path]) -> None:
    plain, path = mixer
    inputs = named_batch_of(3)
    expected = plain.net(**inputs.kwargs)
    hidden, logits = ONNX.read(make_mixer(), path)(inputs)
    torch.testing.assert_close(hidden, expected["hidden"], rtol=0, atol=1e-6)
    torch.testing.assert_close(logits, expected["logits"][0], rtol=0, atol=1e-6)


@pytest.mark.slow
def test_the_facts_are_metadata_of_the_model(mixer: tuple[Any, Path]) -> None:
    model = onnx.load(mixer[1])
    assert {entry.key: entry.value for entry in model.metadata_props} == FACTS
    onnx.checker.check_model(model)


@pytest.mark.slow
def test_no_path_of_this_machine_is_written_down(mixer: tuple[Any, Path]) -> None:
    content = mixer[1].read_bytes()
    assert b"aten.linear" in content
    assert str(Path(__file__).parent).encode() not in content
    assert str(Path(torch.__file__).parent).encode() not in content


def test_an_output_that_is_no_tensor_is_an_error(tmp_path: Path) -> None:
    class Labelled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = make_net()

        def forward(self, x: Tensor) -> tuple[Tensor, float]:
            return self.net(x), 2.0

    with pytest.raises(ExportError) as caught:
        ONNX.write(make_plain(Labelled().eval()), tmp_path / "net.onnx")
    assert str(caught.value) == (
        "expected a network that returns tensors alone, as .onnx holds nothing else, got an output 2.0; export .pt2 or "
        ".safetensors instead"
    )


@pytest.mark.parametrize("missing", ["onnx", "onnxscript"])
def test_writing_without_the_extra_is_an_error(missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def require(module: str, extra: str) -> ModuleType:
        assert extra == "export"
        if module == missing:
            raise MissingExtraError(f"no {module}")
        return onnx

    monkeypatch.setattr(onnx_format, "require", require)
    with pytest.raises(MissingExtraError, match=f"^no {missing}$"):
        ONNX.write(make_plain(), tmp_path / "net.onnx")


def test_reading_without_the_extra_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def require(module: str, extra: str) -> ModuleType:
        raise MissingExtraError(f"no {module} of {extra}")

    monkeypatch.setattr(onnx_format, "require", require)
    with pytest.raises(MissingExtraError, match=r"^no onnxruntime of export$"):
        ONNX.read(make_plain(), tmp_path / "net.onnx")(batch_of(2))
