import pytest
import torch
from torch import nn

from tests.groups.test_find import groups_of, make
from tests.traps import SOUND, Network, Trap
from widthwise.graph import Atom, Example, Solver, StateAxes, infer_axes, trace_network
from widthwise.groups import SizedConstant, find_groups, find_sized_constants


def test_a_number_that_equals_a_size_is_told_with_its_formula_and_place() -> None:
    (constant,) = make(SOUND["6 a scale worked out from a size"]).constants
    assert constant.value == pytest.approx(8**-0.5)
    assert constant.formula == "1 / sqrt(8)"
    assert constant.groups == ("a",)
    assert constant.place.startswith("aten.mul (network.py:")


def test_a_count_by_hand_is_told() -> None:
    (constant,) = make(SOUND["6 a mean by hand"]).constants
    assert (constant.value, constant.formula) == (8.0, "8")


@pytest.mark.parametrize(
    ("number", "formula"),
    [
        (8, "8"),
        (1 / 8, "1 / 8"),
        (8**0.5, "sqrt(8)"),
        (-(8**-0.5), "1 / sqrt(8)"),
        (7, "8 - 1"),
        (1 / 7, "1 / (8 - 1)"),
    ],
)
def test_sizes_inverses_and_roots_are_found(number: float, formula: str) -> None:
    net = Network(lambda s, x: s.o(s.a(x) * number), a=nn.Linear(5, 8), o=nn.Linear(8, 3))
    (constant,) = groups_of(net, torch.randn(3, 5)).constants
    assert (constant.value, constant.formula) == (number, formula)


@pytest.mark.parametrize("number", [0.0, 0.5, 1.0, 2.0, 0.3, 5.0])
def test_common_and_other_numbers_are_not(number: float) -> None:
    net = Network(lambda s, x: s.o(s.a(x) * number) * 8**3, a=nn.Linear(5, 8), o=nn.Linear(8, 3))
    assert groups_of(net, torch.randn(3, 5)).constants == ()


def test_a_number_three_operators_away_is_found_and_four_is_too_far() -> None:
    near = Trap(function=lambda s, x: s.o(s.a(x)).exp() * 8, parts=SOUND["a layer used twice"].parts)
    far = Trap(function=lambda s, x: s.o(s.a(x)).exp().exp().exp() * 8, parts=SOUND["a layer used twice"].parts)
    assert len(make(near).constants) == 1
    assert make(far).constants == ()


def test_constants_are_shown() -> None:
    groups = make(SOUND["6 a scale worked out from a size"])
    assert "constant  maybe             kept as it is by" in repr(groups)
    assert "0.353553  1 / sqrt(8) of a  aten.mul (network.py:" in repr(groups)
    (shown,) = groups.to_dict()["constants"]
    assert shown == {"place": groups.constants[0].place, "value": 8**-0.5, "formula": "1 / sqrt(8)", "groups": ["a"]}
    assert isinstance(groups.constants[0], SizedConstant)


@pytest.mark.parametrize(("number", "formula"), [(40, "40"), (1 / 24, "1 / 24")])
def test_sizes_of_several_axes_are_found(number: float, formula: str) -> None:
    net = Network(lambda s, x: s.o(s.a(x) * number), a=nn.Linear(5, 8), o=nn.Linear(8, 3))
    far = Network(lambda s, x: s.o(s.a(x)) * number, a=nn.Linear(5, 8), o=nn.Linear(8, 3))
    (constant,) = groups_of(net if number == 40 else far, torch.randn(3, 5)).constants
    assert (constant.formula, constant.groups) == (formula, ("a",))


def test_common_numbers_are_listed_on_demand_and_alpha_never() -> None:
    net = Network(
        lambda s, x: s.o(torch.add(s.a(x) * 0.5, s.a(x), alpha=1)), a=nn.Linear(5, 2), o=nn.Linear(2, 3)
    ).eval()
    solver = Solver()
    state = StateAxes(net, solver)
    inference = infer_axes(trace_network(net, Example(args=(torch.randn(3, 5),), kwargs={})), state, solver)
    (group,) = find_groups(net, inference, state)
    titles = {Atom(group.key, group.size): group.name}
    assert find_sized_constants(inference, titles) == []
    (constant,) = find_sized_constants(inference, titles, with_common=True)
    assert (constant.formula, constant.node, constant.argument) == ("1 / 2", "mul", "other")
