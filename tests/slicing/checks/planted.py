"""Networks whose rules are broken on purpose, run at full width for the checks to look at."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.traps import Network
from widthwise.graph import Call, Outcome, as_example
from widthwise.graph.rules import registry
from widthwise.slicing import SlicedNetwork
from widthwise.slicing.checks import FullRun


def plant(monkeypatch: pytest.MonkeyPatch, operator: str, rule: Callable[[Call], Outcome]) -> None:
    """Let an operator have another rule."""
    monkeypatch.setitem(registry._RULES, f"aten::{operator}", rule)


def pass_on(call: Call) -> Outcome:
    """The careless rule: whatever comes in goes out."""
    source = call.axes(call.tensors()[0])
    return Outcome(outputs=tuple(source for _ in call.output_shapes()))


def make_network(function: Callable[..., Any], x: Tensor | None = None, **parts: Any) -> SlicedNetwork:
    """A sliced network of one input; a linear layer of 8 hidden units and one of 3 outputs unless said."""
    torch.manual_seed(0)
    parts = {"a": nn.Linear(5, 8), "o": nn.Linear(8, 3)} | parts
    return SlicedNetwork(Network(function, **parts).eval(), as_example((torch.randn(3, 5) if x is None else x,)))


def run_fully(network: SlicedNetwork, *, seed: int = 0) -> FullRun:
    """A full run of it."""
    return FullRun(network.evaluation, network.example.leaves(), torch.Generator().manual_seed(seed))
