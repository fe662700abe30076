"""What widths have in common is run once, and nothing else."""

import pytest
import torch
from torch import fx, nn

from tests.networks import CASES, assert_same, draw_widths, kept_of, make_generator, make_model
from tests.slicing.checks.planted import make_network
from tests.traps import SOUND
from widthwise.graph import as_example, match_call
from widthwise.groups import Selection
from widthwise.slicing.checks import FullRun, check_restriction
from widthwise.slicing.network import SlicedNetwork
from widthwise.slicing.running.trunk import find_trunk


def keys_of(network: SlicedNetwork) -> set[int]:
    return {group.key for group in network.groups}


def trunk_of(network: SlicedNetwork) -> set[fx.Node]:
    return find_trunk(network.net, network.evaluation.program, keys_of(network))


def assert_carried(network: SlicedNetwork) -> None:
    """The full run must say of each node of the trunk that its cut value is the cut of its full one."""
    full = FullRun(network.evaluation, network.example.leaves(), make_generator(0))
    trunk = {node.name for node in trunk_of(network)}
    for seed in range(3):
        generator = make_generator(seed)
        kept = {group.key: int(torch.randint(1, group.size + 1, (), generator=generator)) for group in network.groups}
        classes, failures = check_restriction(full, kept)
        assert not failures
        assert {name: kind for name, kind in classes.items() if name in trunk and kind != "L"} == {}


@pytest.mark.parametrize("name", CASES)
def test_the_trunk_of_a_network_carries_units_only(name: str) -> None:
    assert_carried(make_model(name)._engine.sliced)  # pyright: ignore[reportPrivateUsage, reportAttributeAccessIssue]


@pytest.mark.parametrize("name", SOUND)
def test_the_trunk_of_what_once_went_wrong_carries_units_only(name: str) -> None:
    net, inputs = SOUND[name].make()
    assert_carried(SlicedNetwork(net.eval(), as_example(inputs), selection=Selection(stream=True)))


def test_the_first_layer_is_common_to_all_widths_and_what_sums_its_units_is_not() -> None:
    network = make_network(lambda s, x: s.o(s.b(s.a(x).relu()).relu()), b=nn.Linear(8, 8))
    assert {node.name for node in trunk_of(network) if node.op == "call_function"} == {"linear", "relu"}


def test_what_differs_at_every_width_is_no_part_of_it() -> None:
    network = make_network(lambda s, x: s.o(s.b(x) * s.a(x).relu()), b=nn.Linear(5, 8))
    program = network.evaluation.program
    names = {node.name for node in find_trunk(network.net, program, keys_of(network), changed={"a.bias"})}
    assert "linear" in names
    assert {"linear_1", "relu", "mul"}.isdisjoint(names)


def test_a_norm_over_units_is_no_part_of_it() -> None:
    network = make_network(lambda s, x: s.o(s.n(s.a(x))), n=nn.LayerNorm(8))
    assert "layer_norm" not in {node.name for node in trunk_of(network)}


@pytest.mark.parametrize("name", CASES)
def test_stem_and_branch_are_the_network(name: str) -> None:
    model = make_model(name).eval()
    runner = model._engine.sliced.evaluation  # pyright: ignore[reportPrivateUsage, reportAttributeAccessIssue]
    args, kwargs = CASES[name].sample(4, make_generator(1), torch.float64)
    leaves = runner.leaves_of(match_call(model.net, model._engine.example, args, kwargs))  # pyright: ignore[reportPrivateUsage]
    kepts = [kept_of(model, model.groups.sizes), *(kept_of(model, draw_widths(model, seed)) for seed in range(3))]
    results = runner.run_stacked(kepts, leaves)
    for kept, (_, outputs) in zip(kepts, results, strict=True):
        assert_same(outputs, runner.run(kept, leaves)[1])
