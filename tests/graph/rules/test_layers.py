"""Every rule in a whole network: tests/traps/layers.py holds the smallest one for each of them."""

import gc
import random
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.networks import assert_same
from tests.traps import LAYERS
from tests.traps.soundness import assert_sound
from widthwise.graph import as_example
from widthwise.graph.rules import find_rule, registry
from widthwise.slicing import SlicedNetwork, copy_state, extract_network


@dataclass(frozen=True, kw_only=True, slots=True)
class Layer:
    """The network of a rule, and the groups that it must have."""

    rule: str
    network: SlicedNetwork
    groups: dict[str, int]


@pytest.fixture(scope="module", params=LAYERS)
def layer(request: pytest.FixtureRequest) -> Layer:
    """Each network once, since tracing takes its time, in a shape that is drawn by its name."""
    drawn = random.Random(request.param)
    trap = LAYERS[request.param](drawn.randint(3, 7), drawn.randint(3, 4))
    net, (x,) = trap.make()
    # Collecting garbage would be a third of the time of tracing.
    gc.disable()
    network = SlicedNetwork(net.double(), as_example((x.double(),)))
    gc.enable()
    return Layer(rule=request.param, network=network, groups=dict(trap.groups))


def run(function: Any, *inputs: Any) -> Tensor:
    with torch.no_grad():
        return function(*inputs)


def test_units_around_the_operators_of_a_rule_may_go(layer: Layer) -> None:
    inference = layer.network.evaluation.program.inference
    rules = [find_rule(node.target) for node in inference.outcomes]
    assert layer.rule in {rule.__name__ for rule in rules if rule is not None}
    assert layer.network.groups.sizes == layer.groups
    assert_sound(layer.network)


def test_full_width_equals_the_plain_network(layer: Layer) -> None:
    leaves = layer.network.example.leaves()
    (got,) = run(layer.network.evaluation.run, {}, leaves)[1]
    assert_same(got, run(layer.network.net, *leaves))


@settings(max_examples=3)
@given(st.data(), st.integers(3, 5))
def test_extract_at_a_width_equals_running_at_it(layer: Layer, data: st.DataObject, batch: int) -> None:
    network, runner = layer.network, layer.network.evaluation
    x = torch.randn(batch, *network.example.leaves()[0].shape[1:], dtype=torch.float64)
    kept = network.kept({each.name: data.draw(st.integers(1, each.size), each.name) for each in network.groups})
    (expected,) = run(runner.run, kept, [x])[1]
    for form in (None, "graph"):
        small = extract_network(network.net, runner, kept, copy_state(runner, kept), network.example, form=form)
        assert_same(run(small, x), expected)


def test_every_rule_has_a_network() -> None:
    """A rule without one needs the smallest network in which it meets units, in tests/traps/layers.py.

    A grouped matmul takes no float64, and only rows of whole 16 bytes: test_linear.py looks at its axes alone.
    """
    every = {rule.__name__ for name, rule in registry._RULES.items() if name.startswith("aten::")}
    assert set(LAYERS) == every - {"grouped_matmul"}
