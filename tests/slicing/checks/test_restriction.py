import pytest
import torch
from torch import nn

from tests.slicing.checks.planted import make_network, pass_on, plant, run_fully
from widthwise.graph import Call, Outcome
from widthwise.slicing.checks import check_restriction
from widthwise.slicing.network import SlicedNetwork


def classify(network: SlicedNetwork, **widths: int) -> tuple[dict[str, str], list[str]]:
    classes, found = check_restriction(run_fully(network), network.kept(widths))
    return classes, [str(failure) for failure in found]


def test_every_operator_that_touches_units_has_its_class() -> None:
    network = make_network(
        lambda s, x: s.o((s.n(s.a(x)) * s.a(x).sum(-1, keepdim=True)).view(-1, 2, 4).mean(1)) + x[:, :3].exp(),
        n=nn.LayerNorm(8), o=nn.Linear(4, 3),
    )  # fmt: skip
    classes, found = classify(network, **{"a.0": 1, "a.1": 3})
    assert found == []
    assert {name.removesuffix("_7"): kind for name, kind in classes.items()} == {
        "linear": "L", "layer_norm": "C", "linear_1": "L", "sum_1": "Z", "mul": "L", "view": "L", "mean": "C",
        "linear_2": "Z",
    }  # fmt: skip


def test_only_groups_that_are_cut_count() -> None:
    network = make_network(lambda s, x: s.o(s.a(x)) + s.p(s.b(x)), b=nn.Linear(5, 6), p=nn.Linear(6, 3))
    assert set(classify(network, b=2)[0]) == {"linear_2", "linear_3"}


def test_operators_that_draw_are_left_out() -> None:
    network = make_network(lambda s, x: s.o(s.a(x) * torch.rand_like(s.a(x))))
    assert "rand_like" not in classify(network, a=3)[0]


def test_nodes_that_the_program_dropped_need_nothing() -> None:
    network = make_network(lambda s, x: (s.a(x).exp(), s.o(s.a(x)))[1])
    assert classify(network, a=3)[1] == []


@pytest.mark.parametrize(
    ("operator", "function"),
    [
        ("softmax", lambda s, x: s.o(s.a(x).softmax(-1))),
        ("roll", lambda s, x: s.o(s.a(x).roll(1, -1))),
        ("cumprod", lambda s, x: s.o(s.a(x).flip(0).cumprod(-1) * s.a(x).cumprod(-1).flip(0))),
    ],
)
def test_an_operator_of_no_class_is_named(monkeypatch, operator, function) -> None:  # noqa: ANN001
    plant(monkeypatch, operator, pass_on)
    network = make_network(function)
    assert network.groups.sizes == {"a": 8}
    found = classify(network, a=3)[1]
    if operator == "cumprod":
        assert found == []
    else:
        assert found == [f"restriction: {operator} on cut inputs is no cut of its full output"]


def test_an_operator_that_cannot_run_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def forget_the_size(call: Call) -> Outcome:
        (batch, units) = call.axes("self")
        outer, inner = call.solver.split(units, (2, 4), "view")
        return Outcome(outputs=((batch, outer, inner),))

    plant(monkeypatch, "view.default", forget_the_size)
    network = make_network(lambda s, x: s.o(s.a(x).view(-1, 2, 4).sum(1)), o=nn.Linear(4, 3))
    (failure,) = classify(network, **{"a.1": 3})[1]
    assert failure.startswith(
        "restriction: view cannot run on cut inputs: shape '[-1, 2, 4]' is invalid for input of size"
    )
