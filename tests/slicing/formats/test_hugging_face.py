import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tests.networks import LAW
from tests.slicing.formats.samples import make_plain
from tests.slicing.own_class.test_config import Saved, make
from widthwise._shared import ExportError, WidthWarning
from widthwise.elastic import Elastic, export
from widthwise.slicing import read_facts
from widthwise.slicing.formats import HUGGING_FACE, find_format


class Reloaded(Saved):
    """Is saved in a folder that is there, and read back in the dtype that it was saved in."""

    def save_pretrained(self, folder: Path) -> None:
        folder.mkdir()
        super().save_pretrained(folder)


def make_gpt(**settings: Any) -> Elastic:
    transformers = pytest.importorskip("transformers", reason="needs transformers: pip install 'widthwise[loops]'")
    config = transformers.GPT2Config(
        vocab_size=17, n_positions=16, n_embd=16, n_layer=2, n_head=4, use_cache=False, **settings
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = transformers.GPT2LMHeadModel(config).eval()
    # Its config can say neither heads of another size nor fewer of the same.
    return Elastic(net, {"input_ids": torch.randint(0, 17, (2, 5))}, law=LAW, freeze=["*attn*"])


def test_a_path_with_a_slash_at_its_end_is_a_folder() -> None:
    assert find_format("models/small.pt/") is HUGGING_FACE


def test_a_folder_is_read_by_the_class_and_computes_the_same(tmp_path: Path) -> None:
    model = make(Reloaded)
    exported = export(model, 0.5, f"{tmp_path}/small/")
    assert exported.path == tmp_path / "small"
    assert exported.max_difference <= 1e-12
    files = list(exported.path.iterdir())
    assert exported.size_bytes == sum(file.stat().st_size for file in files)
    assert json.loads(read_facts(exported.path)["widths"]) == model.widths(0.5)
    tokens = torch.randint(0, 12, (3, 5))
    with model.at(0.5):
        torch.testing.assert_close(Reloaded.from_pretrained(exported.path)(tokens), model(tokens))
    assert [path.name for path in tmp_path.iterdir()] == ["small"]


def test_an_earlier_export_is_replaced_and_anything_else_is_not(tmp_path: Path) -> None:
    model = make(Reloaded)
    for width in (0.5, 1.0):
        export(model, width, f"{tmp_path}/small/")
        assert json.loads(read_facts(tmp_path / "small")["widths"]) == model.widths(width)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter").write_text("dear")
    with pytest.raises(ExportError, match=r"got .*mine with other files in it; give another path$"):
        export(model, 0.5, f"{tmp_path}/mine/")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["letter"]


def test_a_network_of_another_kind_is_an_error(tmp_path: Path) -> None:
    for net, got in (
        (nn.Linear(4, 3), "Linear"),
        (torch.fx.symbolic_trace(nn.Linear(4, 3)), "one that only its graph"),
    ):
        with pytest.raises(ExportError) as caught:
            HUGGING_FACE.write(make_plain(net.eval()), tmp_path / "small")
        assert str(caught.value).startswith(
            f"expected a network of transformers (a PreTrainedModel) for a folder of Hugging Face, got {got}"
        )
        assert str(caught.value).endswith("; export .safetensors, .pt2 or .onnx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_network_of_transformers_is_read_by_from_pretrained(tmp_path: Path) -> None:
    model = make_gpt()
    exported = export(model, 0.5, f"{tmp_path}/small/")
    transformers = pytest.importorskip("transformers")
    small = transformers.AutoModelForCausalLM.from_pretrained(exported.path).eval()
    assert small.config.n_inner == 32
    tokens = torch.randint(0, 17, (3, 7))
    with model.at(0.5):
        expected = model(input_ids=tokens).logits
    torch.testing.assert_close(small(tokens).logits, expected, rtol=0, atol=1e-5 * float(expected.detach().abs().max()))
    assert {"config.json", "model.safetensors", "widthwise.json"} <= {path.name for path in exported.path.iterdir()}


@pytest.mark.slow
def test_in_half_precision_it_is_read_back_so(tmp_path: Path) -> None:
    exported = export(make_gpt(), 0.5, f"{tmp_path}/small/", dtype="bfloat16")
    transformers = pytest.importorskip("transformers")
    small = transformers.AutoModelForCausalLM.from_pretrained(exported.path)
    assert {tensor.dtype for tensor in small.parameters()} == {torch.bfloat16}


@pytest.mark.slow
def test_widths_that_no_config_can_say_are_an_error(tmp_path: Path) -> None:
    model = make_gpt()
    first = next(group.name for group in model.groups if group.name.endswith("mlp.c_fc"))
    with pytest.warns(WidthWarning, match="from_pretrained cannot read it"), pytest.raises(ExportError) as caught:
        export(model, {first: 3}, f"{tmp_path}/small/")
    text = str(caught.value)
    assert text.startswith("expected a config that says what GPT2LMHeadModel has at this width, got none: ")
    assert text.endswith("; export .safetensors, .pt2 or .onnx, or another width")
    assert "\n" not in text
    assert list(tmp_path.iterdir()) == []


def test_what_reads_another_network_is_not_kept(tmp_path: Path) -> None:
    class Forgetful(Reloaded):
        @classmethod
        def from_pretrained(cls, folder: Path) -> Saved:
            net = super().from_pretrained(folder)
            net.head.bias.data += 1
            return net

    with pytest.raises(ExportError, match=r"^expected small to compute what the network does, got a relative diff"):
        export(make(Forgetful), 0.5, f"{tmp_path}/small/")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_another_maker_has_no_facts(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ExportError, match=r"^expected a file that widthwise exported, got .* without a word of where"):
        read_facts(tmp_path)
