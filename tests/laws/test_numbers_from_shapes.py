"""A number that a network works out of a shape follows the width, as it does in a small network of the same class."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.networks import LAW, assert_same, randomize
from widthwise.elastic import Elastic
from widthwise.slicing import network as network_module

Forward = Callable[[Any, Tensor], Tensor]


class Hidden(nn.Module):
    """A hidden layer with a gain, and what is done between it and the last layer."""

    def __init__(self, forward: Forward, units: int = 8, others: int = 8) -> None:
        super().__init__()
        self.units = units
        self.a, self.norm, self.o = nn.Linear(5, units), nn.BatchNorm1d(units), nn.Linear(units, 3)
        self.b, self.p = nn.Linear(5, others), nn.Linear(others, 3)
        self.c = nn.Parameter(torch.randn(1))
        self.function = forward

    def forward(self, x: Tensor) -> Tensor:
        return self.o(self.norm(self.function(self, self.a(x)))) + self.p(self.b(x).relu())


class Attention(nn.Module):
    """Attention by hand, scaled by the size of its keys."""

    def __init__(self, scale: Callable[[Tensor], float], query: int = 6) -> None:
        super().__init__()
        self.heads, self.query, self.scale = 2, query, scale
        self.q, self.k, self.v = nn.Linear(5, 2 * query), nn.Linear(5, 2 * query), nn.Linear(5, 6)
        self.o = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (each(x).view(*x.shape[:2], self.heads, -1).transpose(1, 2) for each in (self.q, self.k, self.v))
        mixed = (q @ k.transpose(-2, -1) * self.scale(k)).softmax(-1) @ v
        return self.o(mixed.transpose(1, 2).flatten(2))


def mean(y: Tensor) -> Tensor:
    return y.sum(-1, keepdim=True) / y.shape[-1]


def layer_norm(s: Any, y: Tensor) -> Tensor:
    y = y - mean(y)
    return y * (mean(y.square()) + 1e-5).rsqrt()


FORWARDS: dict[str, Forward] = {
    "mean": lambda _, y: y - mean(y),
    "variance": lambda _, y: y / ((y - mean(y)).square().sum(-1, True) / (y.shape[-1] - 1) + 0.1),
    "layer norm": layer_norm,
    "rms norm": lambda _, y: y * (mean(y.square()) + 1e-6).rsqrt(),
    "scale": lambda _, y: y * y.size(-1) ** -0.5,
    "square root": lambda _, y: y / math.sqrt(y.size(-1)),
    "number of weights": lambda s, y: y / s.a.weight.numel(),
    "half of the units": lambda _, y: (y - mean(y)) * (y.shape[-1] // 2),
    "what has no units": lambda s, y: y - mean(y) + s.c / y.shape[-1],
    "units of two layers": lambda s, y: (y - mean(y)) / (y.shape[-1] + s.b.bias.shape[0]),
}
SCALES: dict[str, Callable[[Tensor], float]] = {
    "power": lambda k: k.size(-1) ** -0.5,
    "square root": lambda k: 1 / math.sqrt(k.size(-1)),
}
POINT = {"a": 3, "b": 6}


def make(net: nn.Module, **settings: Any) -> tuple[Elastic, Tensor]:
    net = net.double().eval()
    randomize(net, 0)
    x = torch.randn(4, 7, 5, dtype=torch.float64) if isinstance(net, Attention) else torch.randn(4, 5).double()
    return Elastic(net, (x,), law=LAW, **settings).eval(), x


def hidden(forward: Forward) -> tuple[Elastic, Tensor]:
    return make(Hidden(forward))


def rebuild(small: nn.Module, model: Elastic, widths: dict[str, int]) -> nn.Module:
    """The constructor at the small size, with the cut weights."""
    small.double().eval().load_state_dict(model.extract(widths).state_dict(), strict=False)
    return small


@pytest.mark.parametrize("name", FORWARDS)
def test_layers_by_hand_are_those_of_the_class_at_a_small_width(name: str) -> None:
    model, x = hidden(FORWARDS[name])
    assert model.groups.constants == ()
    with model.at(POINT):
        got = model(x)
    assert_same(rebuild(Hidden(FORWARDS[name], 3, 6), model, POINT)(x), got)
    assert_same(model.extract(POINT, form="module")(x), got)
    assert_same(model.extract(POINT, form="graph")(x), got)
    assert_same(model(x), model.net(x))
    found, counts = model.verify(), model._engine.sliced.evaluation.program.counts
    assert found.is_sound
    assert {found.classes.get(node.name) for node in counts} == {"C"}


@pytest.mark.parametrize("name", SCALES)
def test_attention_by_hand_is_that_of_the_class_at_narrow_queries(name: str) -> None:
    model, x = make(Attention(SCALES[name]), queries=True)
    (query,) = [group.name for group in model.groups if group.kind == "query"]
    with model.at({query: 3}):
        got = model(x)
    assert model.groups.constants == ()
    assert_same(rebuild(Attention(SCALES[name], 3), model, {query: 3})(x), got)
    assert_same(model.extract({query: 3}, form="module")(x), got)
    assert_same(model.extract({query: 3}, form="graph")(x), got)
    with model.at(0.5):
        got = model(x)
    assert_same(model.extract(0.5, form="graph")(x), got)
    assert model.verify().is_sound


def test_training_counts_the_kept_units_too() -> None:
    model, x = hidden(FORWARDS["mean"])
    model.train()
    with model.at(POINT):
        got = model(x)
    small = rebuild(Hidden(FORWARDS["mean"], 3, 6), model, POINT).train()
    assert_same(small(x), got)


def test_a_number_of_the_network_stays_and_is_listed() -> None:
    model, x = hidden(lambda s, y: y * s.units**-0.5)
    (constant,) = model.groups.constants
    assert constant.formula == "1 / sqrt(8)"
    small = rebuild(Hidden(lambda _, y: y * 8**-0.5, 3, 6), model, POINT)
    with model.at(POINT):
        assert_same(model(x), small(x))
    assert model.verify().is_sound


def test_networks_without_such_numbers_are_exported_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise AssertionError("nothing looks like a size")

    monkeypatch.setattr(network_module, "find_counts", refuse)
    assert hidden(lambda _, y: y * 5.0 + 1)[0].groups.constants == ()


def test_of_two_groups_of_one_size_the_number_follows_its_own() -> None:
    model, _ = hidden(FORWARDS["scale"])
    runner = model._engine.sliced.evaluation
    assert {group.size for group in model.groups} == {8}
    ((_, term),) = [term for each in runner.program.counts.values() for one in each.values() for term in one.terms]
    assert term.key == model.groups["a"].key


def tied(s: Any, y: Tensor) -> Tensor:
    torch._check(y.shape[-1] == s.b.weight.shape[0])
    return y / y.shape[-1]


def whole(s: Any, y: Tensor) -> Tensor:
    assert isinstance(y.shape[-1], int)
    return y / y.shape[-1]


def turn(s: Any, y: Tensor) -> Tensor:
    return (y.relu() if isinstance(y.shape[-1], int) else y) / y.shape[-1]


def literal(s: Any, y: Tensor) -> Tensor:
    return y.view(-1, 8) / y.shape[-1]


@pytest.mark.parametrize("forward", [tied, whole, turn, literal])
def test_a_number_of_which_no_size_is_sure_stays_and_is_listed(forward: Forward) -> None:
    """The code ties two groups, or does not run on symbolic sizes, or does something else on them, or fixes one."""
    model, x = hidden(forward)
    assert [each.value for each in model.groups.constants] == [8.0]
    with model.at(POINT):
        got = model(x)
    small = Hidden(lambda _, y: (y.relu() if forward is turn else y) / 8, 3, 6)
    assert_same(rebuild(small, model, POINT)(x), got)
    assert model.verify().is_sound


def test_a_single_unit_may_have_no_number() -> None:
    model, x = hidden(lambda _, y: (y * (1 / (y.shape[-1] - 1))).clamp(max=3))
    with model.at({"a": 1}):
        assert model(x).shape == (4, 3)
