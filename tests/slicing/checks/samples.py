"""Networks to check, and wrong rules to plant in the table of rules."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from widthwise.graph import Call, Example, Outcome
from widthwise.graph.rules import registry
from widthwise.slicing import Kept, SlicedNetwork
from widthwise.slicing.checks import FullRun, NodeFailure

UNITS = 8


class Between(nn.Module):
    """A perceptron 5-12-8-3 with something done to its 8 units, which are a group of their own, called "inner"."""

    def __init__(self, work: Callable[[Any, Tensor], Tensor], *modules: nn.Module) -> None:
        super().__init__()
        self.outer, self.inner, self.head = nn.Linear(5, 12), nn.Linear(12, UNITS), nn.Linear(UNITS, 3)
        self.parts = nn.ModuleList(modules)
        self._work = work

    def forward(self, x: Tensor) -> Tensor:
        hidden = torch.tanh(self.inner(torch.relu(self.outer(x))))
        return self.head(self._work(self.parts, hidden))


def carry(call: Call) -> Outcome:
    """Wrong wherever an operator does more than carry its axes: all outputs have the axes of the first input."""
    first = call.tensors()[0]
    return Outcome(outputs=tuple(call.axes(first) for _ in call.output_shapes()))


def carry_channels(call: Call) -> Outcome:
    """Wrong for a group norm: its channels are tied to gain and bias, but are cut without regard to its groups."""
    x = call.axes("input")
    for name in ("weight", "bias"):
        call.unify(x[1], call.axes(name)[0])
    return Outcome(outputs=(x,))


def convolve_freely(call: Call) -> Outcome:
    """Wrong for a convolution: the axes along which its kernel slides keep being units."""
    call.freeze(call.axes("weight"))
    return Outcome(outputs=(call.axes("input"),))


ROLL = ("roll", carry, Between(lambda _, y: y.roll(1, -1)))
SOFTMAX = ("softmax", carry, Between(lambda _, y: y.softmax(-1)))
CUMSUM = ("cumsum", carry, Between(lambda _, y: y.cumsum(-1)))
SORT = ("sort", carry, Between(lambda _, y: y.sort(-1)[0]))
CONV = ("conv1d", convolve_freely, Between(lambda parts, y: parts[0](y[:, None])[:, 0], nn.Conv1d(1, 1, 3, padding=1)))
GROUP_NORM = ("group_norm", carry_channels, Between(lambda parts, y: parts[0](y), nn.GroupNorm(2, UNITS)))
UNTIED_ADD = ("add", carry, Between(lambda parts, y: y + parts[0](y), nn.Linear(UNITS, UNITS)))
Planted = tuple[str, Callable[[Call], Outcome], nn.Module]


def plant(monkeypatch: pytest.MonkeyPatch, planted: Planted) -> SlicedNetwork:
    """Trace a network with a wrong rule in place of that of an operator."""
    operator, wrong, net = planted
    monkeypatch.setitem(registry._RULES, f"aten::{operator}", wrong)
    network = trace(net, torch.randn(4, 5))
    assert "inner" in network.groups.sizes
    return network


def trace(net: nn.Module, *inputs: Tensor) -> SlicedNetwork:
    """A network with its groups."""
    return SlicedNetwork(net.eval(), Example(args=inputs, kwargs={}))


def run_full(network: SlicedNetwork, seed: int = 0) -> FullRun:
    """Everything that a network yields at full width."""
    return FullRun(network.evaluation, network.example.leaves(), torch.Generator().manual_seed(seed))


def keep(network: SlicedNetwork, **widths: int) -> Kept:
    """Prefixes of groups by name; all others are full, and dots of names are written as two underscores."""
    return network.kept({**network.groups.sizes, **{name.replace("__", "."): kept for name, kept in widths.items()}})


def nodes_of(failures: Sequence[NodeFailure]) -> list[str]:
    """The nodes that failed, in order."""
    return [failure.node for failure in failures]
