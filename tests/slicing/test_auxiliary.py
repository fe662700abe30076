"""Heads that only training reads: they shrink with what they read, and stay as they are where training differs."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.networks import LAW, assert_same
from widthwise._shared import GroupError
from widthwise.elastic import Elastic
from widthwise.graph import Trace
from widthwise.slicing import network as network_module


class Watched(nn.Module):
    """A stem whose units a head reads, and in training another one of two layers."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.head = nn.Sequential(nn.Linear(5, 8), nn.ReLU()), nn.Linear(8, 3)
        self.aux = nn.Sequential(nn.BatchNorm1d(8), nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 3))

    def forward(self, x: Tensor) -> Any:
        y = self.stem(x)
        return (self.head(y), self.aux(y)) if self.training else self.head(y)


class Reversing(Watched):
    """Its second head tells units apart."""

    def forward(self, x: Tensor) -> Any:
        y = self.stem(x)
        return (self.head(y), self.aux(y.flip(-1))) if self.training else self.head(y)


class Choosing(Watched):
    """In training it takes a branch by what it computes, which cannot be traced."""

    def forward(self, x: Tensor) -> Any:
        y = self.stem(x)
        if self.training and bool(y.sum() > 0):
            y = y + self.aux(y).sum()
        return self.head(y)


class Unused(Watched):
    """Nothing reads its second head."""

    def forward(self, x: Tensor) -> Any:
        return self.head(self.stem(x))


def make(kind: type[Watched]) -> tuple[Elastic, Tensor]:
    torch.manual_seed(0)
    x = torch.randn(12, 5, dtype=torch.float64)
    return Elastic(kind().double(), (x,), law=LAW), x


def members(model: Elastic) -> set[str]:
    return {f"{member.target}[{member.axis}]" for member in model.groups[0].members if member.target.startswith("aux")}


def test_a_head_that_only_training_reads_shrinks_with_what_it_reads() -> None:
    model, _ = make(Watched)
    assert model.groups.sizes == {"stem.0": 8}
    norm = {f"aux.0.{name}[0]" for name in ("weight", "bias", "running_mean", "running_var")}
    assert members(model) == {*norm, "aux.1.weight[1]"}
    reasons = {axis.reason for axis in model.groups.frozen if axis.target == "aux.1.bias"}
    assert reasons == {"never written: no operator passes it on from a parameter"}
    model.eval().verify()


def test_such_a_network_can_be_trained() -> None:
    model, x = make(Watched)
    one, other = model.train()(x)
    (one.square().mean() + other.square().mean()).backward()
    assert all(parameter.grad is not None for parameter in model.net.parameters())
    assert model.net.aux[0].running_mean.abs().sum() > 0


@pytest.mark.parametrize("width", [1.0, 0.5, {"stem.0": 3}])
def test_what_is_taken_home_can_be_trained_as_the_network_can_at_that_width(width: Any) -> None:
    model, x = make(Watched)
    small = model.eval().extract(width, calibrate=[(x,)], form="module").train()
    with model.train().at(width):
        assert_same(list(small(x)), list(model(x)))
    sum(output.sum() for output in small(x)).backward()
    assert small.aux[1].in_features == model.widths(width)["stem.0"]


@pytest.mark.parametrize("kind", [Reversing, Choosing, Unused])
def test_where_training_is_of_no_use_evaluation_alone_counts(kind: type[Watched]) -> None:
    model, x = make(kind)
    assert model.groups.sizes == {"stem.0": 8}
    assert members(model) == set()
    small = model.eval().extract(0.5)
    with torch.no_grad(), model.at(0.5):
        assert_same(small(x), model(x))


def test_units_that_only_training_ties_down_are_still_an_error_in_training() -> None:
    model, x = make(Reversing)
    with pytest.raises(GroupError, match=r"group stem\.0 must have free units in every mode"):
        model.train()(x)


@pytest.mark.parametrize("is_tied", [False, True])
def test_training_is_not_traced_where_evaluation_reads_everything(
    is_tied: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    modes: list[bool] = []
    trace_network = network_module.trace_network

    def count(*args: Any, **kwargs: Any) -> Trace:
        modes.append(kwargs["training"])
        return trace_network(*args, **kwargs)

    monkeypatch.setattr(network_module, "trace_network", count)
    net = nn.Sequential(nn.Linear(8, 8, bias=False), nn.ReLU(), nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 8, bias=False))
    if is_tied:
        net.append(nn.Linear(8, 8, bias=False))
        net[5].weight = net[0].weight
    Elastic(net, (torch.randn(4, 8),))
    assert modes == [False]
