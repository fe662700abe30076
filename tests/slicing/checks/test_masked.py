from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.slicing.checks.planted import make_network, pass_on, plant, run_fully
from widthwise.graph import Call, Outcome
from widthwise.slicing.checks import check_masked, check_restriction


@pytest.mark.parametrize("width", [1, 3, 8])
def test_a_network_of_every_class_agrees_with_its_masked_self(width: int) -> None:
    network = make_network(
        lambda s, x: s.o(s.n(s.a(x)).sigmoid() * s.a(x).sum(-1, True) + s.a(x).mean(-1, True) - s.a(x).amax(-1, True)),
        n=nn.LayerNorm(8),
    )
    assert check_masked(run_fully(network), network.kept({"a": width})) == []


def test_outputs_may_be_nested_and_need_not_be_tensors() -> None:
    network = make_network(lambda s, x: {"y": s.o(s.a(x)), "n": 3, "z": [s.a(x).sum(1)]})
    assert check_masked(run_fully(network), network.kept({"a": 2})) == []


def test_the_first_operator_that_differs_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch, "roll", pass_on)
    network = make_network(lambda s, x: s.o(s.a(x).roll(1, -1)))
    (failure,) = check_masked(run_fully(network), network.kept({"a": 3}))
    assert str(failure) == "masked: roll differs between the sliced and the masked full network"


def test_a_fault_that_reaches_no_output_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A unit that is dead in a small random network would hide it, and so do several groups that are cut to one."""
    plant(monkeypatch, "roll", pass_on)
    network = make_network(lambda s, x: s.o(s.a(x).roll(1, -1).clamp(min=100)))
    assert [failure.node for failure in check_masked(run_fully(network), network.kept({"a": 3}))] == ["roll"]


def test_a_norm_that_counts_other_groups_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Item 5: no check of shapes or order sees it, and the class of a norm lets it pass."""

    def careless(call: Call) -> Outcome:
        outer, _ = call.solver.split(call.axes("input")[1], (2, 4), "groups")
        call.freeze([outer])
        for name in ("weight", "bias"):
            call.unify(call.axes("input")[1], call.axes(name)[0])
        return Outcome(outputs=(call.axes("input"),))

    plant(monkeypatch, "group_norm", careless)
    network = make_network(
        lambda s, x: s.d(s.n(s.g(s.c(x)))).mean((2, 3)), torch.randn(3, 3, 4, 5),
        c=nn.Conv2d(3, 8, 1), g=nn.Conv2d(8, 8, 3, groups=4), n=nn.GroupNorm(4, 8), d=nn.Conv2d(8, 3, 1),
    )  # fmt: skip
    full, kept = run_fully(network), network.kept({"c.0": 1})
    assert network.groups["c.0"].size == 2
    assert check_restriction(full, kept)[1] == []
    assert [failure.check for failure in check_masked(full, kept)] == ["masked"]


@pytest.mark.parametrize("width", [1, 3, 8])
def test_both_are_given_what_the_full_run_drew(width: int) -> None:
    network = make_network(lambda s, x: s.o(functional.dropout(s.a(x), 0.5) + torch.rand_like(s.a(x))))
    assert check_masked(run_fully(network), network.kept({"a": width})) == []


@pytest.mark.parametrize("is_before", [True, False])
def test_a_fault_on_either_side_of_a_draw_is_found(is_before: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    def work(s: Any, x: Tensor) -> Tensor:
        y = s.a(x).roll(1, -1) if is_before else s.a(x)
        y = functional.dropout(y, 0.5)
        return s.o(y if is_before else y.roll(1, -1))

    plant(monkeypatch, "roll", pass_on)
    network = make_network(work)
    (failure,) = check_masked(run_fully(network), network.kept({"a": 3}))
    assert failure.node == "roll"


def test_a_softmax_over_units_that_was_taken_for_carrying_them_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch, "softmax", pass_on)
    network = make_network(lambda s, x: s.o(s.a(x).softmax(-1)))
    full = run_fully(network)
    assert check_masked(full, network.kept({"a": 8})) == []
    assert [failure.node for failure in check_masked(full, network.kept({"a": 3}))] == ["softmax"]
