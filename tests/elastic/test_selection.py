"""Which groups move: `Elastic(..., stream=, queries=, values=, freeze=, only=)`."""

from collections.abc import Mapping
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.networks import assert_same, make_generator
from widthwise._shared import GroupError
from widthwise.elastic import Elastic, Law
from widthwise.elastic.step import start_step

STREAM, HEADS, QUERY, VALUE, HIDDEN = "stem", "block.q.heads", "block.q.query", "block.v.value", "block.up"
SIZES = {STREAM: 6, HEADS: 2, QUERY: 4, VALUE: 4, HIDDEN: 12}
# Who names a group that training leaves whole is warned, as of any width that it never saw.
pytestmark = pytest.mark.filterwarnings("ignore:the law draws at least")


class Block(nn.Module):
    """A block of a transformer, of width 6, with 2 heads."""

    def __init__(self, *, has_norm: bool) -> None:
        super().__init__()
        self.attention_norm, self.norm = (nn.LayerNorm(6) if has_norm else nn.Identity() for _ in range(2))
        self.q, self.k, self.v, self.o = nn.Linear(6, 8), nn.Linear(6, 8), nn.Linear(6, 8), nn.Linear(8, 6)
        self.up, self.down = nn.Linear(6, 12), nn.Linear(12, 6)

    def forward(self, x: Tensor) -> Tensor:
        y = self.attention_norm(x)
        q, k, v = (m(y).unflatten(-1, (2, 4)).transpose(1, 2) for m in (self.q, self.k, self.v))
        x = x + self.o(functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        return x + self.down(functional.gelu(self.up(self.norm(x))))


class Transformer(nn.Module):
    """One block between a stem and a head."""

    def __init__(self, *, has_norm: bool = True) -> None:
        super().__init__()
        self.stem, self.block, self.head = nn.Linear(5, 6), Block(has_norm=has_norm), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.block(self.stem(x)))


def make(*, has_norm: bool = True, **settings: Any) -> Elastic:
    torch.manual_seed(0)
    net = Transformer(has_norm=has_norm).double().eval()
    return Elastic(net, (torch.randn(2, 7, 5, dtype=torch.float64),), generator=make_generator(0), **settings)


def _as_key(settings: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    return tuple((name, tuple(value) if isinstance(value, list) else value) for name, value in settings.items())


@cache
def _shared(settings: tuple[tuple[str, Any], ...]) -> Elastic:
    return make(**dict(settings))


def shared(**settings: Any) -> Elastic:
    """The model of these settings, traced once; tests leave it as it was."""
    return _shared(_as_key(settings))


def following(model: Elastic) -> set[str]:
    return {group.name for group in model.groups if group.follows}


FOLLOWING: list[tuple[Mapping[str, Any], set[str]]] = [
    ({}, {HEADS, HIDDEN}),
    ({"stream": False}, {HEADS, HIDDEN}),
    ({"stream": True}, {STREAM, HEADS, HIDDEN}),
    ({"queries": True}, {HEADS, QUERY, HIDDEN}),
    ({"values": True}, {HEADS, VALUE, HIDDEN}),
    ({"stream": True, "queries": True, "values": True}, set(SIZES)),
    ({"has_norm": False}, {STREAM, HEADS, HIDDEN}),
    ({"has_norm": False, "stream": False}, {HEADS, HIDDEN}),
    ({"freeze": ["block.up"]}, {HEADS}),
    ({"only": ["block.up", "stem"]}, {HIDDEN}),
    ({"only": ["stem"]}, {STREAM}),
    ({"freeze": ["*.heads"]}, {VALUE, HIDDEN}),
]


@pytest.mark.parametrize(("settings", "expected"), FOLLOWING, ids=[str(settings) for settings, _ in FOLLOWING])
def test_a_fraction_moves_these_groups_and_no_others(settings: Mapping[str, Any], expected: set[str]) -> None:
    model = shared(**settings)
    assert following(model) == expected
    half = model.widths(0.5)
    assert half == {name: size // 2 if name in expected else size for name, size in model.groups.sizes.items()}


@pytest.mark.parametrize("sharing", ["shared", "jittered", "independent"])
def test_the_law_never_draws_what_moves_by_name_only(sharing: Any) -> None:
    model = make(law=Law(sharing=sharing, lowest=0.1))
    draws = [draw for seed in range(50) for draw in start_step(model._engine, model.law, make_generator(seed)).widths()]
    for name, size in SIZES.items():
        drawn = {draw[name] for draw in draws}
        assert (drawn == {size}) == (name not in {HEADS, HIDDEN})


def test_training_leaves_whole_what_moves_by_name_only() -> None:
    """Every chunk, the narrowest too, writes to all units of the stream."""
    model = make(law=Law(chunks=1, lowest=0.01, distribution="uniform_below_full")).train()
    model(torch.randn(4, 7, 5, dtype=torch.float64)).square().sum().backward()
    assert model.net.stem.weight.grad is not None
    assert model.net.stem.weight.grad.abs().sum(1).min() > 0
    grad = model.net.block.up.weight.grad
    assert grad is not None
    assert not grad[-1].any()


@pytest.mark.parametrize(("name", "kept"), [(STREAM, 2), (HEADS, 1), (QUERY, 3), (VALUE, 1), (HIDDEN, 5)])
def test_every_group_may_be_named(name: str, kept: int) -> None:
    model = shared()
    widths = {name: kept}
    assert model.widths(widths) == {**SIZES, **widths}
    x = torch.randn(3, 7, 5, generator=make_generator(1), dtype=torch.float64)
    with model.at(widths):
        got = model(x)
    assert_same(model.extract(widths)(x), got)
    assert not torch.equal(got, model.net(x))


def test_the_scale_of_a_narrower_query_is_that_of_the_full_one() -> None:
    """Item 7: by hand, with queries and keys cut to 3 of 4."""
    model = shared()
    x = torch.randn(3, 7, 5, generator=make_generator(1), dtype=torch.float64)
    masked = Transformer().double().eval()
    masked.load_state_dict(model.net.state_dict())
    for layer in (masked.block.q, masked.block.k):
        with torch.no_grad():
            layer.weight.unflatten(0, (2, 4))[:, 3].zero_()
            layer.bias.unflatten(0, (2, 4))[:, 3].zero_()
    with model.at({QUERY: 3}):
        assert_same(model(x), masked(x))


@pytest.mark.parametrize(
    "settings",
    [{}, {"stream": True}, {"queries": True, "values": True}, {"freeze": ["*heads"]}, {"only": ["stem", "*up*"]}],
    ids=str,
)
def test_every_selection_is_sound(settings: Mapping[str, Any]) -> None:
    found = shared(**settings).verify(num_widths=2)
    assert found.is_sound
    assert found.widths


def test_what_is_frozen_says_so() -> None:
    frozen = {f"{axis.target}[{axis.axis}]": axis.reason for axis in shared(freeze=["block.up"]).groups.frozen}
    assert frozen["block.up.bias[0]"] == frozen["block.down.weight[1]"] == "freeze='block.up'"
    frozen = {f"{axis.target}[{axis.axis}]": axis.reason for axis in shared(only=["block.up"]).groups.frozen}
    assert frozen["stem.bias[0]"] == "matches none of only=['block.up']"


def test_a_parameter_names_all_groups_that_it_has() -> None:
    assert set(make(freeze=["block.q.weight"]).groups.sizes) == {VALUE, HIDDEN}
    assert set(make(only=["block.v.bias"]).groups.sizes) == {HEADS, VALUE}


def test_freezing_everything_is_an_error_that_says_who_did() -> None:
    with pytest.raises(GroupError, match=r"^Transformer must have an axis that can shrink, got none \(.*freeze='\*'"):
        make(freeze=["*"])


@pytest.mark.parametrize("argument", ["freeze", "only"])
def test_a_pattern_that_matches_nothing_is_an_error(argument: str) -> None:
    with pytest.raises(GroupError, match=rf"^expected {argument} to match a width group or a .*, got 'block\.down', "):
        make(**{argument: ["block.down"]})


@pytest.mark.parametrize("settings", [settings for settings, _ in FOLLOWING], ids=str)
def test_names_and_kinds_do_not_depend_on_what_is_frozen(settings: Mapping[str, Any]) -> None:
    groups = shared(**settings).groups
    assert all(SIZES[name] == size for name, size in groups.sizes.items())
    if "has_norm" not in settings:
        kinds = {group.name: group.kind for group in shared().groups}
        assert all(kinds[group.name] == group.kind for group in groups)


def test_names_and_kinds_are_the_same_when_traced_again() -> None:
    assert make(stream=True).groups.to_dict() == shared(stream=True).groups.to_dict()


def test_names_stay_where_one_of_several_of_a_module_is_frozen() -> None:
    net = nn.Sequential(nn.Conv2d(2, 6, 1), nn.Conv2d(6, 4, 1, groups=2), nn.Conv2d(4, 3, 1)).eval()
    example = (torch.randn(2, 2, 4, 4),)
    assert Elastic(net, example).groups.sizes == {"0.0": 2, "0.1": 3, "1": 2}
    assert Elastic(net, example, freeze=["0.0"]).groups.sizes == {"0.1": 3, "1": 2}
    assert Elastic(net, example, only=["0.1"]).groups.sizes == {"0.1": 3}
