import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, load_model
from torch import nn

from tests.slicing.formats.samples import FACTS, batch_of, make_mixer, make_net, make_plain, make_tied, named_batch_of
from widthwise.slicing.formats import FORMATS, Format, exported_bytes

SAFETENSORS = FORMATS[".safetensors"]
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


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("units", [1, 9, 10, 99, 100])
@pytest.mark.parametrize("score", [None, 1.0, -1.7976931348623157e308])
def test_the_size_of_a_safetensors_file_is_known_before_it_is_written(
    dtype: torch.dtype, units: int, score: float | None, tmp_path: Path
) -> None:
    net = nn.Sequential(nn.Linear(4, units), nn.BatchNorm1d(units), nn.Linear(units, 3)).to(dtype).eval()
    widths = {"0": units, 'a "ä"': 3}
    facts = {"made_by": "widthwise 0.1", "torch": "2.13.0", "widths": json.dumps(widths)}
    facts |= {} if score is None else {"score": repr(score)}
    plain = replace(make_plain(net), facts=facts, example=batch_of(2, dtype=dtype))
    SAFETENSORS.write(plain, tmp_path / "net.safetensors")
    assert (tmp_path / "net.safetensors").stat().st_size == exported_bytes(net, widths)
    with safe_open(tmp_path / "net.safetensors", framework="pt") as file:
        assert file.metadata() == facts
    assert load_file(tmp_path / "net.safetensors").keys() == net.state_dict().keys()


def test_a_fact_that_is_longer_than_its_room_is_cut(tmp_path: Path) -> None:
    facts = {"made_by": "widthwise " + "1" * 90, "torch": "2" * 90, "score": "3" * 90, "widths": '{"0": 5}'}
    SAFETENSORS.write(replace(make_plain(), facts=facts), tmp_path / "net.safetensors")
    assert (tmp_path / "net.safetensors").stat().st_size == exported_bytes(make_net(), {"0": 5})
    with safe_open(tmp_path / "net.safetensors", framework="pt") as file:
        assert file.metadata() == {
            "made_by": "widthwise " + "1" * 22,
            "torch": "2" * 32,
            "score": "3" * 24,
            "widths": '{"0": 5}',
        }


def test_a_tied_network_has_the_size_told_and_is_loaded_by_safetensors(tmp_path: Path) -> None:
    SAFETENSORS.write(replace(make_plain(make_tied()), facts={"widths": "{}"}), tmp_path / "net.safetensors")
    assert (tmp_path / "net.safetensors").stat().st_size == exported_bytes(make_tied(), {})
    assert load_model(make_tied(), tmp_path / "net.safetensors") == (set(), [])
