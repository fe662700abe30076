import pytest
import torch
from torch import nn

from tests.slicing.checks.planted import make_network, pass_on, plant, run_fully
from widthwise.graph import Call, Outcome
from widthwise.slicing.checks import check_order
from widthwise.slicing.network import SlicedNetwork


def failures(network: SlicedNetwork) -> list[str]:
    return [str(each) for each in check_order(run_fully(network), torch.Generator().manual_seed(0))]


def test_a_sound_network_passes() -> None:
    assert failures(make_network(lambda s, x: s.o(s.a(x).relu().view(-1, 2, 4).flatten(1)))) == []


@pytest.mark.parametrize(
    ("operator", "function"),
    [
        ("roll", lambda s, x: s.o(torch.roll(s.a(x), 1, -1))),
        ("cumsum", lambda s, x: s.o(s.a(x).cumsum(-1))),
        ("flip", lambda s, x: s.o(s.a(x).flip(-1))),
        ("tril", lambda s, x: s.o(s.a(x)[:, None].tril()[:, 0])),
        ("max_pool1d", lambda s, x: s.o(nn.functional.max_pool1d(s.a(x)[:, None], 3, 1, 1)[:, 0])),
    ],
)
def test_an_operator_along_units_that_keeps_all_shapes_is_named(monkeypatch, operator, function) -> None:  # noqa: ANN001
    plant(monkeypatch, operator, pass_on)
    network = make_network(function)
    assert network.groups.sizes == {"a": 8}
    assert failures(network) == [f"order: {operator} depends on the order of units it should only carry"]


def test_one_of_several_outputs_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch, "sort", pass_on)
    assert failures(make_network(lambda s, x: s.o(s.a(x).sort(-1)[0]))) == [
        "order: sort depends on the order of units it should only carry"
    ]


def test_operators_that_draw_and_those_without_units_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    network = make_network(lambda s, x: s.o(s.a(x.roll(1, 1)) + torch.rand_like(s.a(x))))
    assert network.groups.sizes == {"a": 8}
    assert failures(network) == []


def test_a_convolution_along_units_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """With its zero padding it gives the same for prefixes: no other check sees it."""

    def careless(call: Call) -> Outcome:
        call.freeze(call.axes("weight"))
        return Outcome(outputs=(call.axes("input"),))

    plant(monkeypatch, "conv1d", careless)
    network = make_network(lambda s, x: s.o(s.c(s.a(x)[:, None])[:, 0]), c=nn.Conv1d(1, 1, 3, padding=1))
    assert network.groups.sizes == {"a": 8}
    assert failures(network) == ["order: conv1d depends on the order of units it should only carry"]
