import copy
from typing import Any

import pytest
import torch
from torch import nn

from tests.slicing.checks.planted import pass_on, plant, run_fully
from tests.traps import Network
from widthwise._shared import GroupError, WidthWarning
from widthwise.elastic import Elastic
from widthwise.graph import as_example
from widthwise.slicing import SlicedNetwork, find_blamed, verify_and_freeze
from widthwise.slicing.checks import NodeFailure, check_masked


def run(s: Any, x: torch.Tensor) -> torch.Tensor:
    """Two hidden layers; the units of the first are rolled."""
    return s.o(s.b(s.a(x).roll(1, -1)).relu())


def make(function: Any = run) -> SlicedNetwork:
    torch.manual_seed(0)
    net = Network(function, a=nn.Linear(5, 8), b=nn.Linear(8, 6), o=nn.Linear(6, 3)).eval()
    return SlicedNetwork(net, as_example((torch.randn(3, 5),)))


@pytest.fixture
def careless_roll(monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch, "roll", pass_on)


def test_a_sound_network_keeps_its_groups() -> None:
    network = make(lambda s, x: s.o(s.b(s.a(x)).relu()))
    found = verify_and_freeze(network)
    assert found.is_sound
    assert found.frozen == {}
    assert network.groups.sizes == {"a": 8, "b": 6}


def test_only_the_group_at_fault_is_frozen_and_the_rest_is_sound(careless_roll: None) -> None:
    network = make()
    assert network.groups.sizes == {"a": 8, "b": 6}
    found = verify_and_freeze(network)
    assert found.is_sound
    assert found.frozen == {"a": "unsound, restriction: roll on cut inputs is no cut of its full output"}
    assert network.groups.sizes == {"b": 6}
    reasons = {(axis.target, axis.axis): axis for axis in network.groups.frozen}
    assert reasons["a.weight", 0].reason == found.frozen["a"]
    assert reasons["b.weight", 1].remedy.startswith("report the operator")
    assert "; frozen: a (unsound, restriction: roll" in str(found)


def test_of_groups_that_meet_at_an_operator_those_that_fail_alone_are_at_fault(careless_roll: None) -> None:
    network = make()
    # `linear_1` reads the units of a and gives those of b.
    failure = NodeFailure(check="restriction", node="linear_1", reason="differs")
    assert list(find_blamed(network, [failure])) == ["a"]


def test_a_fault_inside_a_branch_is_that_of_the_units_inside(careless_roll: None) -> None:
    def run(s: Any, x: torch.Tensor) -> torch.Tensor:
        branches = (lambda z: s.b(s.a(z).roll(1, -1)).relu(), lambda z: s.b(s.a(z).roll(2, -1)).relu())
        return s.o(torch.cond(x.sum() > 0, *branches, (x,)))

    network = make(run)
    assert network.groups.sizes == {"a": 8, "b": 6}
    (failure,) = check_masked(run_fully(network), network.kept({"a": 3}))
    assert failure.node == "getitem"
    assert list(find_blamed(network, [failure])) == ["a"]


def test_where_none_fails_alone_all_that_meet_are_at_fault() -> None:
    network = make(lambda s, x: s.o(s.b(s.a(x)).relu()))
    failure = NodeFailure(check="restriction", node="linear_1", reason="differs")
    assert list(find_blamed(network, [failure])) == ["a", "b"]


def test_what_follows_from_a_fault_blames_nobody_else(careless_roll: None) -> None:
    network = make()
    first = NodeFailure(check="restriction", node="roll", reason="differs")
    second = NodeFailure(check="masked", node="linear_2", reason="differs")
    assert list(find_blamed(network, [second, first])) == ["a"]
    assert find_blamed(network, []) == {}


def test_a_fault_that_no_group_meets_is_an_error_and_freezes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Elastic(make().net, (torch.randn(3, 5),))
    stranger = (NodeFailure(check="order", node="nowhere", reason="differs"),)
    monkeypatch.setattr("widthwise.slicing.verify.check_order", lambda *_: list(stranger))
    with pytest.raises(GroupError, match=r"^every operator must give at a width .*but order: nowhere"):
        model.verify()
    assert "b" in model.groups.sizes


def test_a_network_of_which_nothing_is_left_is_an_error_every_time(careless_roll: None) -> None:
    net = Network(lambda s, x: s.o(s.a(x).roll(1, -1)), a=nn.Linear(5, 8), o=nn.Linear(8, 3)).eval()
    network = SlicedNetwork(net, as_example((torch.randn(3, 5),)))
    for _ in range(2):
        with pytest.raises(GroupError, match=r"must have an axis that can shrink, got none \(.*unsound, restriction"):
            verify_and_freeze(network)


def test_the_model_warns_and_goes_on_with_what_is_sound(careless_roll: None) -> None:
    torch.manual_seed(0)
    model = Elastic(make().net, (torch.randn(3, 5),))
    with pytest.warns(WidthWarning, match=r"got some that do not and are frozen now: a \(unsound, restriction: roll"):
        found = model.verify()
    assert found.is_sound
    assert model.widths(0.5) == {"b": 3}
    assert model.verify().frozen == {}
    x = torch.randn(4, 5)
    with model.at(0.5):
        expected = model(x)
    torch.testing.assert_close(model.extract(0.5)(x), expected)
    model.train()(x).sum().backward()
    assert model.net.a.weight.grad is not None


def test_copies_remember_what_is_frozen(careless_roll: None) -> None:
    network = make()
    verify_and_freeze(network)
    assert copy.deepcopy(network).groups.sizes == {"b": 6}
