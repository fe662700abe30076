from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

from tests.networks import shared_model
from tests.slicing.checks.planted import pass_on, plant
from tests.traps import SOUND, Network
from tests.traps.soundness import assert_sound
from widthwise._shared import GroupError
from widthwise.elastic import Elastic
from widthwise.graph import as_example, atoms_of, indices
from widthwise.slicing import SlicedNetwork, Verification, verify_network
from widthwise.slicing.checks import FullRun, NodeFailure


def make_network() -> SlicedNetwork:
    torch.manual_seed(0)
    net = Network(lambda s, x: s.o(s.n(s.a(x)).relu()), a=nn.Linear(5, 8), n=nn.LayerNorm(8), o=nn.Linear(8, 3))
    return SlicedNetwork(net, as_example((torch.randn(3, 5),)))


@pytest.mark.parametrize("name", SOUND)
def test_a_careful_inference_finds_these_groups_and_every_operator_keeps_to_them(name: str) -> None:
    net, inputs = SOUND[name].make()
    network = SlicedNetwork(net, as_example(inputs))
    assert network.groups.sizes == SOUND[name].groups
    assert_sound(network)


def test_a_verification_tells_widths_and_classes() -> None:
    found = verify_network(make_network(), num_widths=4)
    assert len(found.widths) == 5
    assert found.widths[-1] == {"a": 1}
    assert all(1 <= widths["a"] <= 8 for widths in found.widths)
    assert found.classes == {"linear": "L", "layer_norm": "C", "relu": "L", "linear_1": "Z"}
    assert str(found) == (
        "sound at 5 widths; operators that touch units: 2 carry them (L), 1 sum over them (Z), "
        "1 count or compare them (C)"
    )
    found.raise_on_failure()


def test_groups_that_no_operator_sees_together_are_cut_to_one_unit_at_once() -> None:
    net = Network(
        lambda s, x: s.o(s.c(s.b(s.a(x).relu()).relu()).relu()),
        a=nn.Linear(5, 8), b=nn.Linear(8, 7), c=nn.Linear(7, 6), o=nn.Linear(6, 3),
    )  # fmt: skip
    found = verify_network(SlicedNetwork(net.eval(), as_example((torch.randn(3, 5),))), num_widths=0)
    assert list(found.widths) == [{"a": 1, "c": 1}, {"b": 1}]
    assert found.is_sound, str(found)
    assert found.classes["linear_2"] == "Z"


@pytest.mark.parametrize("name", list(SOUND)[::8])
def test_every_group_is_cut_to_one_unit_and_no_operator_sees_two_of_them(name: str) -> None:
    net, inputs = SOUND[name].make()
    network = SlicedNetwork(net, as_example(inputs))
    full = FullRun(network.evaluation, network.example.leaves(), torch.Generator())
    rounds = verify_network(network, num_widths=0).widths
    assert sorted(group for widths in rounds for group in widths) == sorted(network.groups.sizes)
    for widths in rounds:
        cut = network.kept(widths).keys()
        assert all(len(full.atoms(node).keys() & cut) <= 1 for node in full.operators())


def test_a_missing_tie_is_found_by_cuts_to_one_unit(monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch, "add", pass_on)
    net = Network(
        lambda s, x: s.o(s.a(x) + s.b(x)) + s.p(s.b(x)),
        a=nn.Linear(5, 8), b=nn.Linear(5, 8), o=nn.Linear(8, 3), p=nn.Linear(8, 3),
    )  # fmt: skip
    found = verify_network(SlicedNetwork(net.eval(), as_example((torch.randn(3, 5),))), num_widths=0)
    assert "shapes" in {failure.check for failure in found.failures}


def test_the_seed_tells_everything() -> None:
    network = make_network()
    assert verify_network(network, seed=3).widths == verify_network(network, seed=3).widths
    assert verify_network(network, seed=3).widths != verify_network(network, seed=4).widths


def test_the_network_and_the_global_random_state_stay_as_they_were(untouched_random_state) -> None:  # noqa: ANN001
    network = make_network()
    before = {name: tensor.clone() for name, tensor in network.net.state_dict().items()}
    with untouched_random_state():
        verify_network(network)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.net.state_dict().items())


def test_a_failure_is_an_error_that_names_the_operator() -> None:
    failures = tuple(NodeFailure(check="order", node=f"roll_{i}", reason="depends on the order") for i in range(3))
    found = Verification(widths=({"a": 1},), classes={}, failures=failures)
    assert not found.is_sound
    assert str(found) == (
        "3 failures: order: roll_0 depends on the order; order: roll_1 depends on the order; order: roll_2 depends on "
        "the order at 1 widths; operators that touch units: none"
    )
    with pytest.raises(GroupError) as caught:
        found.raise_on_failure()
    assert str(caught.value) == (
        "every operator must give at a width what the groups say, but order: roll_0 depends on the order (2 more); "
        "please report this operator, and place ww.StructuralDropout by hand meanwhile"
    )


def test_atoms_of_groups_are_those_of_the_parameters() -> None:
    network = make_network()
    program = network.evaluation.program
    found = {atom.key for axes in program.axes for term in axes for atom in atoms_of(term)}
    assert found == {group.key for group in network.groups}
    assert all(len(indices(term, dict.fromkeys(found, 1))) >= 1 for axes in program.axes for term in axes)


@pytest.mark.parametrize("name", ["mlp", "mlp-norm", "resnet", "join", "dict", "pair"])
def test_networks_without_means_over_units_carry_and_sum_them(name: str) -> None:
    found = shared_model(name).verify(num_widths=1)
    assert found.is_sound
    assert set(found.classes.values()) == {"L", "Z"}


@pytest.mark.parametrize(
    "function",
    [
        lambda s, x: s.o(functional.dropout(s.a(x), 0.5)),
        lambda s, x: s.o(functional.alpha_dropout(s.a(x), 0.5, training=True) * torch.rand_like(s.a(x))),
        lambda s, x: s.o(torch.bernoulli(s.a(x).sigmoid())) + torch.randn(x.shape[0], 3),
    ],
    ids=["dropout", "alpha dropout", "bernoulli"],
)
def test_random_numbers_inside_do_not_trip_the_checks(function: Callable[..., Any]) -> None:
    net = Network(function, a=nn.Linear(5, 8), o=nn.Linear(8, 3)).eval()
    found = verify_network(SlicedNetwork(net, as_example((torch.randn(3, 5),))))
    assert found.is_sound, str(found)
    assert found.classes["linear"] == "L"


def test_a_wrong_rule_is_an_error_that_every_check_agrees_on(monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch, "roll", pass_on)
    net = Network(lambda s, x: s.o(s.a(x).roll(1, -1)), a=nn.Linear(5, 8), o=nn.Linear(8, 3))
    model = Elastic(net.eval(), (torch.randn(3, 5),))
    found = verify_network(model._engine.sliced)
    assert [str(failure) for failure in found.failures] == [
        "restriction: roll on cut inputs is no cut of its full output",
        "masked: roll differs between the sliced and the masked full network",
        "order: roll depends on the order of units it should only carry",
    ]
    with pytest.raises(GroupError, match=r"must have an axis that can shrink, got none \(.*restriction: roll on cut "):
        model.verify()
