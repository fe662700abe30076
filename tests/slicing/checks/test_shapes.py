import pytest
from torch import nn

from tests.slicing.checks.planted import make_network, pass_on, plant, run_fully
from widthwise.graph import Call, Outcome
from widthwise.slicing.checks import check_shapes


def test_a_sound_network_passes_at_any_width() -> None:
    network = make_network(lambda s, x: s.o(s.a(x).relu()))
    full = run_fully(network)
    assert all(check_shapes(full, network.kept({"a": width})) == [] for width in (1, 3, 8))


def test_a_missing_tie_is_found_at_unequal_counts_and_at_one(monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch, "add", pass_on)
    network = make_network(lambda s, x: s.o(s.a(x) + s.b(x)) + s.p(s.b(x)), b=nn.Linear(5, 8), p=nn.Linear(8, 3))
    full = run_fully(network)
    assert set(network.groups.sizes) == {"a", "b"}
    (failure,) = check_shapes(full, network.kept({"a": 3, "b": 5}))
    assert failure.node.startswith("add")
    assert failure.reason.startswith("cannot run: The size of tensor a (3) must match the size of tensor b (5)")
    found = check_shapes(full, network.kept({"a": 1, "b": 5}))
    assert found[0].reason == "has shape (3, 5) where its axes say (3, 1)"
    assert check_shapes(full, network.kept({"a": 3, "b": 3})) == []


def test_an_image_that_shrinks_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Item 2: the global mean would hide it."""

    def careless(call: Call) -> Outcome:
        x, weight = call.axes("input"), call.axes("weight")
        call.contract(x[1], weight[1])
        call.solver.read(x[2])
        call.solver.read(x[3])
        call.unify(weight[0], call.axes("bias")[0])
        return Outcome(outputs=((x[0], weight[0], *call.frozen_output().outputs[0][2:]),))

    plant(monkeypatch, "conv2d", careless)
    network = make_network(
        lambda s, x: s.c(s.a(x).view(-1, 6, 4, 4)).mean((2, 3)), a=nn.Linear(5, 96), c=nn.Conv2d(6, 3, 3, padding=1)
    )
    assert network.groups.sizes == {"a.0": 6, "a.1": 4, "a.2": 4}
    full = run_fully(network)
    found = check_shapes(full, network.kept({"a.1": 2}))
    assert str(found[0]) == "shapes: conv2d has shape (3, 3, 2, 4) where its axes say (3, 3, 4, 4)"
