from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import nn

from tests.slicing.formats.samples import FACTS, batch_of, make_mixer, make_net, make_plain, make_tied, named_batch_of
from widthwise.slicing.formats import FORMATS, Format

suffixes = pytest.mark.parametrize("suffix", [".safetensors", ".pt"])


def write(file_format: Format, net: nn.Module, path: Path) -> Path:
    file_format.write(make_plain(net), path)
    return path


@suffixes
def test_a_file_holds_the_state_of_the_network(suffix: str, tmp_path: Path) -> None:
    net = make_net()
    path = write(FORMATS[suffix], net, tmp_path / "net")
    state = load_file(path) if suffix == ".safetensors" else torch.load(path, weights_only=True)
    assert sorted(state) == sorted(net.state_dict())
    assert all(torch.equal(state[name], tensor) for name, tensor in net.state_dict().items())


@suffixes
def test_reading_takes_the_weights_from_the_file(suffix: str, tmp_path: Path) -> None:
    written, other = make_net(), make_net()
    path = write(FORMATS[suffix], written, tmp_path / "net")
    inputs = batch_of(3)
    (got,) = FORMATS[suffix].read(make_plain(other), path)(inputs)
    assert torch.equal(got, written(*inputs.args))
    assert not torch.equal(other(*inputs.args), got)


@suffixes
def test_tied_parameters_are_stored_once(suffix: str, tmp_path: Path) -> None:
    tied = make_tied()
    path = write(FORMATS[suffix], tied, tmp_path / "tied")
    apart = write(
        FORMATS[suffix],
        nn.Sequential(nn.Linear(4, 4, bias=False), nn.ReLU(), nn.Linear(4, 4, bias=False)).eval(),
        tmp_path / "apart",
    )
    assert apart.stat().st_size - path.stat().st_size >= 4 * 4 * 4
    inputs = batch_of(3)
    (got,) = FORMATS[suffix].read(make_plain(make_tied()), path)(inputs)
    assert torch.equal(got, tied(*inputs.args))


@suffixes
def test_inputs_by_name_and_nested_outputs_come_back_as_leaves(suffix: str, tmp_path: Path) -> None:
    plain = make_mixer()
    FORMATS[suffix].write(plain, tmp_path / "net")
    inputs = named_batch_of(3)
    hidden, logits = FORMATS[suffix].read(plain, tmp_path / "net")(inputs)
    expected = plain.net(**inputs.kwargs)
    assert torch.equal(hidden, expected["hidden"])
    assert torch.equal(logits, expected["logits"][0])


def test_safetensors_carry_the_facts(tmp_path: Path) -> None:
    path = write(FORMATS[".safetensors"], make_net(), tmp_path / "net")
    with safe_open(path, framework="pt") as file:
        assert file.metadata() == FACTS
