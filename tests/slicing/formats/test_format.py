from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from tests.slicing.formats.samples import FACTS, batch_of, make_mixer, make_net, make_plain, named_batch_of
from widthwise._shared import ExportError
from widthwise.graph import Example
from widthwise.slicing.formats import FORMATS, Plain, find_format, find_reason, read_facts
from widthwise.slicing.formats.format import export_program


class Branching(nn.Module):
    """Takes another way for large batches."""

    def __init__(self) -> None:
        super().__init__()
        self.net = make_net()

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x) if x.shape[0] < 16 else -self.net(x)


class Turned(nn.Module):
    """Reads a batch along axis 1, and a number that is no tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.net = make_net()

    def forward(self, x: Tensor, factor: float) -> Tensor:
        return self.net(x.t()) * factor


@pytest.mark.parametrize("num_samples", [1, 2, 7])
def test_an_exported_program_takes_any_batch(num_samples: int) -> None:
    plain, named = make_plain(), make_mixer()
    inputs, named_inputs = batch_of(num_samples), named_batch_of(num_samples)
    torch.testing.assert_close(export_program(plain).module()(*inputs.args), plain.net(*inputs.args))
    torch.testing.assert_close(
        export_program(named).module()(*named_inputs.kwargs.values()), named.net(**named_inputs.kwargs)
    )


def test_the_batch_may_be_another_axis_and_an_input_no_tensor() -> None:
    net = Turned().eval()
    plain = Plain(net=net, example=Example(args=(torch.randn(4, 2), 3.0), kwargs={}), batch_axes=[1, None], facts={})
    x = torch.randn(4, 5)
    torch.testing.assert_close(export_program(plain).module()(x, 3.0), net(x, 3.0))


def test_a_network_that_takes_some_batches_only_is_an_error() -> None:
    with pytest.raises(ExportError) as caught:
        export_program(make_plain(Branching().eval()))
    text = str(caught.value)
    assert text.startswith(
        "expected a network that torch.export can write with any batch size, got: Constraints violated (batch)!"
    )
    assert text.endswith("; export .safetensors instead")
    assert "\n" not in text


def test_a_program_holds_no_place_in_the_source() -> None:
    program = export_program(make_mixer())
    assert all("stack_trace" not in node.meta for node in program.graph.nodes)


def test_the_reason_is_the_first_line_of_the_error_at_the_root() -> None:
    error = RuntimeError("a report\nof many lines")
    assert find_reason(error) == "a report"
    error.__cause__ = ValueError("\n  what really was  \nmore")
    assert find_reason(error) == "what really was"
    error.__cause__ = KeyError()
    assert find_reason(error) == "KeyError"


@pytest.mark.parametrize("suffix", [".safetensors", ".pt", ".pt2", ".onnx"])
def test_the_suffix_names_the_format(suffix: str) -> None:
    assert find_format(f"folder.pt/net{suffix}") is FORMATS[suffix]


@pytest.mark.parametrize("name", ["net.h5", "net", "net.PT", ".pt"])
def test_an_unknown_suffix_is_an_error(name: str) -> None:
    with pytest.raises(ExportError) as caught:
        find_format(f"folder/{name}")
    assert str(caught.value) == (
        "expected a file name ending in one of .safetensors, .pt, .pt2, .onnx, .pte, or a folder ending in / for "
        f"Hugging Face, got {name!r}; choose one of these"
    )


@pytest.mark.parametrize("suffix", [".safetensors", ".pt", ".pt2", pytest.param(".onnx", marks=pytest.mark.slow)])
def test_a_file_tells_its_facts(suffix: str, tmp_path: Path) -> None:
    if suffix == ".onnx":
        pytest.importorskip("onnxscript", reason="needs onnx: pip install 'widthwise[export]'")
    FORMATS[suffix].write(make_plain(), tmp_path / f"net{suffix}")
    assert read_facts(tmp_path / f"net{suffix}") == FACTS


def test_weights_with_facts_load_strictly_all_the_same(tmp_path: Path) -> None:
    net = make_net()
    FORMATS[".pt"].write(make_plain(net), tmp_path / "net.pt")
    state = torch.load(tmp_path / "net.pt", weights_only=True)
    assert str(make_net().load_state_dict(state)) == "<All keys matched successfully>"
    assert state.widthwise == FACTS


@pytest.mark.parametrize("suffix", [".safetensors", ".pt", ".pt2"])
def test_a_damaged_file_is_told_in_one_line(suffix: str, tmp_path: Path) -> None:
    target = tmp_path / f"net{suffix}"
    target.write_bytes(b"not at all")
    with pytest.raises(
        ExportError, match=r"^expected a whole file of its format in .*, got damaged content \(.*\); exp"
    ):
        read_facts(target)


def test_a_missing_file_and_one_of_another_maker_are_errors(tmp_path: Path) -> None:
    with pytest.raises(ExportError) as caught:
        read_facts(tmp_path / "net.pt")
    assert str(caught.value) == f"expected an exported file {tmp_path / 'net.pt'}, got none; check the path"
    torch.save(make_net().state_dict(), tmp_path / "net.pt")
    with pytest.raises(ExportError) as caught:
        read_facts(tmp_path / "net.pt")
    assert str(caught.value) == (
        f"expected a file that widthwise exported, got {tmp_path / 'net.pt'} without a word of where it comes from; "
        "check the path"
    )
