import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.slicing.formats.samples import FACTS, batch_of, make_mixer, make_net, make_plain, make_tied
from widthwise.graph import Example
from widthwise.measure import state_on_disk
from widthwise.slicing.formats import FORMATS, Plain
from widthwise.slicing.formats import listing as listing_module
from widthwise.slicing.formats.load import load

SAFETENSORS = FORMATS[".safetensors"]

# What a person without widthwise does with the files.
SCRIPT = """
import importlib.util, sys
sys.modules["widthwise"] = None
import torch
spec = importlib.util.spec_from_file_location("load", sys.argv[1] + "/net.load.py")
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
net = module.load(sys.argv[1] + "/net.safetensors")
torch.save([net(*inputs) for inputs in torch.load(sys.argv[1] + "/inputs.pt")], sys.argv[1] + "/outputs.pt")
"""


class Windows(nn.Module):
    """Splits, counts along the batch, masks with minus infinity, and has a constant that is in no state dict."""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.head = nn.Linear(4, 8), nn.Linear(8, 3)
        self.register_buffer("mask", torch.tensor([True, False]), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.fc(x)
        left, right = hidden.view(x.shape[0] * 2, 4).split(2, dim=1)
        scores = (left * right).masked_fill(self.mask, float("-inf")).softmax(-1)
        mixed = torch.cat([left, right], dim=1).view(-1, 8).to(torch.float64)
        return self.head(mixed.to(torch.float32)) + scores.view(x.shape[0], -1).sum(1, keepdim=True)


class Branching(nn.Module):
    """Takes another way for large batches, which torch.export cannot write."""

    def __init__(self) -> None:
        super().__init__()
        self.net = make_net()

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x) if x.shape[0] < 16 else -self.net(x)


def read_config(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "net.config.json").read_text(encoding="utf-8"))


@pytest.mark.slow
def test_a_process_without_widthwise_computes_the_same(tmp_path: Path) -> None:
    net = Windows().eval()
    SAFETENSORS.write(make_plain(net), tmp_path / "net.safetensors")
    batches = [batch_of(size).args for size in (1, 2, 5)]
    torch.save(batches, tmp_path / "inputs.pt")
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path)], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    for inputs, found in zip(batches, torch.load(tmp_path / "outputs.pt"), strict=True):
        torch.testing.assert_close(found, net(*inputs))


@pytest.mark.parametrize("make", [make_net, make_tied, Windows])
def test_the_list_computes_what_the_network_does(make: Any, tmp_path: Path) -> None:
    net = make().eval()
    SAFETENSORS.write(make_plain(net), tmp_path / "net.safetensors")
    for num_samples in (1, 2, 5):
        (x,) = batch_of(num_samples).args
        torch.testing.assert_close(load(tmp_path / "net.safetensors")(x), net(x), rtol=0, atol=1e-6)


def test_nested_inputs_and_outputs_are_leaves_in_order(tmp_path: Path) -> None:
    plain = make_mixer()
    SAFETENSORS.write(plain, tmp_path / "net.safetensors")
    gate, extra, x = plain.example.kwargs.values()
    expected = plain.net(gate=gate, extra=extra, x=x)
    hidden, logits = load(tmp_path / "net.safetensors")(gate, extra["more"], x)
    torch.testing.assert_close([hidden, logits], [expected["hidden"], *expected["logits"]], rtol=0, atol=1e-6)


def test_the_config_holds_the_facts_and_no_code(tmp_path: Path) -> None:
    SAFETENSORS.write(make_plain(), tmp_path / "net.safetensors")
    config = read_config(tmp_path)
    assert config["facts"] == FACTS
    assert config["made_from"] == "Sequential"
    assert [node[1] for node in config["nodes"]] == [["linear", "default"], ["relu", "default"], ["linear", "default"]]
    assert config["nodes"][0][2][1:] == [{"value": "0.weight"}, {"value": "0.bias"}]
    assert set(config) == {"schema", "made_from", "facts", "inputs", "constants", "nodes", "outputs"}


def test_the_loader_is_the_file_of_the_package(tmp_path: Path) -> None:
    SAFETENSORS.write(make_plain(), tmp_path / "net.safetensors")
    assert (tmp_path / "net.load.py").read_text() == Path(sys.modules[load.__module__].__file__ or "").read_text()
    assert "import widthwise" not in (tmp_path / "net.load.py").read_text()


def test_a_network_that_cannot_be_listed_says_why_and_has_no_loader(tmp_path: Path) -> None:
    SAFETENSORS.write(make_plain(Branching().eval()), tmp_path / "net.safetensors")
    config = read_config(tmp_path)
    assert config["reason"].startswith("expected a network that torch.export can write with any batch size, got: ")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["net.config.json", "net.safetensors"]


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (["relu", "default"], "the list of operators computes something else, by "),
        (["no_such_operator", "default"], "the list of operators does not run: "),
    ],
)
def test_a_list_that_is_wrong_is_not_kept(
    broken: list[str], reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_listing = listing_module.make_listing

    def make_wrong(plain: Plain, state: Any) -> dict[str, Any]:
        found: dict[str, Any] = dict(make_listing(plain, state))
        last = found["nodes"][-1]
        last[1], last[2] = broken, last[2][:1]
        return found

    monkeypatch.setattr(listing_module, "make_listing", make_wrong)
    net = nn.Sequential(nn.Linear(4, 3), nn.Sigmoid()).eval()
    SAFETENSORS.write(make_plain(net), tmp_path / "net.safetensors")
    assert read_config(tmp_path)["reason"].startswith(reason)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["net.config.json", "net.safetensors"]


def test_an_operator_of_another_package_is_not_listed() -> None:
    class Custom(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.ops.prims.sin(x)

    net = Custom().eval()
    plain = Plain(net=net, example=Example(args=(torch.randn(2, 4),), kwargs={}), batch_axes=[0], facts={})
    found = listing_module.make_listing(plain, state_on_disk(net))
    assert found["reason"] == "expected operators of torch.ops.aten, got prims.sin.default"
