import copy
import json
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.networks import LAW, assert_same, make_generator
from widthwise._shared import WidthWarning
from widthwise.elastic import Elastic
from widthwise.slicing.own_class.config import is_config


class Settings:
    """A config: sizes as attributes, `head_dim` and `inner` left out where they follow from the others."""

    def __init__(self, **settings: Any) -> None:
        self.hidden_size, self.num_attention_heads, self.num_hidden_layers = 12, 3, 3
        self.inner, self.vocab_size, self.name = None, 12, "a"
        vars(self).update(settings)

    def to_dict(self) -> dict[str, Any]:
        return dict(vars(self))


class Saved(nn.Module):
    """Attends over tokens, and is saved as a config and a state."""

    # What a subclass reads, and how.
    has_head_dim = True

    def __init__(self, config: Settings) -> None:
        super().__init__()
        self.config, hidden = config, config.hidden_size
        given = getattr(config, "head_dim", None) if self.has_head_dim else None
        self.num_heads = config.num_attention_heads
        self.head_dim = given or hidden // self.num_heads
        width, inner = self.num_heads * self.head_dim, config.inner or 4 * hidden
        self.scale = self.head_dim**-0.5
        self.table, self.head = nn.Embedding(config.vocab_size, hidden), nn.Linear(hidden, config.vocab_size)
        self.qkv = nn.ModuleList(nn.Linear(hidden, 3 * width) for _ in range(config.num_hidden_layers))
        self.out = nn.ModuleList(nn.Linear(width, hidden) for _ in range(config.num_hidden_layers))
        self.up = nn.ModuleList(nn.Linear(hidden, inner) for _ in range(config.num_hidden_layers))
        self.down = nn.ModuleList(nn.Linear(inner, hidden) for _ in range(config.num_hidden_layers))

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.table(tokens)
        shape = (*tokens.shape, 3, self.num_heads, self.head_dim)
        for qkv, out, up, down in zip(self.qkv, self.out, self.up, self.down, strict=True):
            query, key, value = qkv(x).view(shape).permute(2, 0, 3, 1, 4)
            mixed = functional.scaled_dot_product_attention(query, key, value, scale=self.scale)
            x = x + out(mixed.transpose(1, 2).reshape(*tokens.shape, self.num_heads * self.head_dim))
            x = x + down(torch.relu(up(x)))
        return self.head(x)

    def save_pretrained(self, folder: Path) -> None:
        (folder / "config.json").write_text(json.dumps(self.config.to_dict()))
        torch.save(self.state_dict(), folder / "state.pt")

    @classmethod
    def from_pretrained(cls, folder: Path) -> "Saved":
        net = cls(Settings(**json.loads((folder / "config.json").read_text()))).double().eval()
        net.load_state_dict(torch.load(folder / "state.pt"))
        return net


class Tied(Saved):
    """Has no width of a head but that of all its inputs over their number."""

    has_head_dim = False


class Wrapper(nn.Module):
    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, tokens: Tensor) -> Tensor:
        return self.body(tokens).mean(1)


def tokens(batch: int = 3) -> Tensor:
    return torch.randint(0, 12, (batch, 5), generator=make_generator(batch))


def make(kind: type[Saved] = Saved, *, wrap: bool = False, **settings: Any) -> Elastic:
    net: nn.Module = kind(Settings()).double().eval()
    return Elastic(Wrapper(net) if wrap else net, (tokens(),), law=LAW, **settings)


def extract_warned(model: Elastic, width: Any) -> tuple[nn.Module, list[str]]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        small = model.extract(width)
    assert all(warning.filename == __file__ for warning in caught)
    return small, [str(warning.message) for warning in caught if warning.category is WidthWarning]


def read_back(small: Any, folder: Path) -> nn.Module:
    small.save_pretrained(folder)
    return type(small).from_pretrained(folder)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("width", [1.0, 0.5, 1 / 3, 0.01])
def test_a_small_network_is_read_back_from_what_it_saves(stream: bool, width: float, tmp_path: Path) -> None:
    model = make(stream=stream)
    small = model.extract(width)
    assert type(small) is Saved
    for batch in (1, 4):
        expected = small(tokens(batch))
        assert_same(read_back(small, tmp_path)(tokens(batch)), expected)
        with model.at(width):
            assert_same(expected, model(tokens(batch)))


def test_the_config_says_what_was_cut_and_nothing_else() -> None:
    for stream, cut in ((True, {"hidden_size": 6}), (False, {"inner": 24})):
        model = make(stream=stream)
        before = copy.deepcopy(model.net.config.to_dict())
        small = model.extract(0.5)
        assert small.config.to_dict() == {**before, **cut, "num_attention_heads": 2, "head_dim": 4}
        assert (small.num_heads, small.head_dim) == (2, 4)
        assert model.net.config.to_dict() == before


def test_a_config_that_needs_no_new_entries_gets_none() -> None:
    small = make(stream=True).extract(1 / 3)
    assert small.config.to_dict() == Settings(hidden_size=4, num_attention_heads=1).to_dict()


def test_the_config_of_a_network_within_another_one_is_set(tmp_path: Path) -> None:
    model = make(wrap=True, stream=True)
    small = model.extract(0.5)
    assert type(small) is Wrapper
    assert small.body.config.hidden_size == 6
    assert_same(read_back(small.body, tmp_path)(tokens()), small.body(tokens()))


def test_what_no_config_can_say_is_told_and_the_config_stays() -> None:
    model = make(Tied, stream=False)
    small, told = extract_warned(model, 0.5)
    assert type(small) is Tied
    (text,) = told
    assert text == (
        "expected a config that says what Tied has at this width, got none: qkv.0.weight is (24, 12), of its config "
        "(36, 12); the network is right, but from_pretrained cannot read it back, so save it whole with torch.save"
    )
    assert small.config.to_dict() == model.net.config.to_dict() == Settings().to_dict()
    assert (small.num_heads, small.head_dim) == (2, 4)
    with model.at(0.5):
        assert_same(small(tokens(4)), model(tokens(4)))


def test_layers_of_different_widths_are_told() -> None:
    model = make()
    widths = {name: i + 1 for i, name in enumerate(name for name in model.groups.sizes if name.startswith("up"))}
    small, told = extract_warned(model, widths)
    assert type(small) is Saved
    assert len(told) == 1
    assert "got none: up." in told[0]
    assert small.config.to_dict() == Settings().to_dict()
    with model.at(widths):
        assert_same(small(tokens(4)), model(tokens(4)))


def test_a_network_whose_constructor_computes_other_numbers_is_told() -> None:
    model = make()
    widths = {g.name: 2 for g in model.groups if g.kind in ("query", "value")}
    small, told = extract_warned(model, widths)
    assert type(small) is Saved
    assert (small.head_dim, small.scale) == (2, 0.5)
    assert small.config.to_dict() == Settings().to_dict()
    # A network of two units per head would scale by 1 / sqrt(2), and training scaled by 1 / sqrt(4).
    assert ["a network built from it computes something else" in text for text in told if "config" in text] == [True]


def test_a_network_that_its_config_does_not_build_is_told() -> None:
    class Odd(Saved):
        def __init__(self, config: Settings, more: int) -> None:
            super().__init__(config)
            self.more = more

    model = Elastic(Odd(Settings(), 1).double().eval(), (tokens(),), law=LAW)
    small, told = extract_warned(model, 0.5)
    assert type(small) is Odd
    assert len(told) == 1
    assert "its constructor is not to be called with such a config" in told[0]


def test_searching_a_config_draws_no_random_numbers() -> None:
    model = make()
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    model.extract(0.5)
    assert torch.equal(torch.rand(1), expected)


def test_the_graph_of_a_network_says_nothing_of_its_config() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not hasattr(make(Tied).extract(0.5, form="graph"), "config")


def test_a_config_is_told_from_other_things() -> None:
    assert is_config(Settings())
    assert not is_config({"to_dict": 1})
    assert not is_config(nn.Linear(2, 2))
    assert not is_config(None)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["Llama", "Qwen2"])
def test_a_network_of_hugging_face_is_read_back_from_what_it_saves(name: str, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    config = getattr(transformers, f"{name}Config")(
        vocab_size=12, hidden_size=24, num_hidden_layers=2, intermediate_size=40, max_position_embeddings=16,
        num_attention_heads=6, num_key_value_heads=3, use_cache=False,
    )  # fmt: skip
    net = getattr(transformers, f"{name}ForCausalLM")(config).eval()
    small = Elastic(net, {"input_ids": tokens()}, law=LAW, stream=True).extract(0.5)
    assert type(small) is type(net)
    assert (small.config.hidden_size, net.config.hidden_size) == (12, 24)
    small.save_pretrained(tmp_path)
    with torch.no_grad():
        expected = small(input_ids=tokens(4)).logits
        assert_same(type(small).from_pretrained(tmp_path).eval()(input_ids=tokens(4)).logits, expected)
