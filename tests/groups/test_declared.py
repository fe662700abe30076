import re
from collections.abc import Sequence

import pytest
from torch import nn

from widthwise._shared import GroupError
from widthwise.graph import Atom, Frozen, Product
from widthwise.groups import Declaration, DeclaredGroups, declare_groups

MLP: Declaration = {"{}.one.weight": "n _", "{}.one.bias": "n", "{}.two.weight": "_ n"}


class Pair(nn.Module):
    def __init__(self, units: int = 8) -> None:
        super().__init__()
        self.one, self.two, self.units = nn.Linear(4, units), nn.Linear(units, 4), units
        self.shape = (2, units)


def declare(*declarations: Declaration, net: nn.Module | None = None) -> DeclaredGroups:
    return declare_groups(net or nn.Sequential(Pair(), Pair(6)), declarations)


def test_a_place_in_the_pattern_makes_a_group_for_each_of_its_values() -> None:
    found = declare(MLP)
    assert found.groups.sizes == {"0.one": 8, "1.one": 6}
    assert [str(member) for member in found.groups["1.one"].members] == [
        "1.one.weight[0]",
        "1.one.bias[0]",
        "1.two.weight[1]",
    ]
    assert found.axes["0.two.weight"] == (Frozen(4, "named by no group"), Atom(0, 8))
    assert "0.two.bias" not in found.axes


def test_a_star_ties_all_that_it_matches() -> None:
    net = nn.Sequential(Pair(), Pair())
    found = declare({"*.one.weight": 0, "*.one.bias": 0, "*.two.weight": 1}, net=net)
    assert found.groups.sizes == {"0.one": 8}
    assert len(found.groups[0].members) == 6


def test_numbers_that_modules_remember_follow() -> None:
    found = declare({"0.one.weight": "n _", "0.units": "n", "0.shape": "_ n"})
    terms = {(number.module, number.name): number.terms for number in found.numbers}
    assert terms["0", "units"] == (Atom(0, 8),)
    assert terms["0", "shape"] == (Frozen(2, "named by no group"), Atom(0, 8))


def test_factors_stay() -> None:
    found = declare({"0.one.weight": "(2 n 2) _"})
    assert found.groups.sizes == {"0.one": 2}
    frozen = Frozen(2, "named by no group")
    assert found.axes["0.one.weight"][0] == Product((frozen, Atom(0, 2), frozen))


def test_two_groups_may_share_a_parameter_on_two_axes() -> None:
    net = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 5), nn.Linear(5, 2))
    found = declare({"0.weight": 0, "0.bias": 0, "1.weight": 1}, {"1.weight": 0, "1.bias": 0, "2.weight": 1}, net=net)
    assert found.axes["1.weight"] == (Atom(1, 5), Atom(0, 4))


def test_tied_tensors_are_one() -> None:
    net = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    net[1].weight = net[0].weight
    found = declare({"0.weight": "n _", "0.bias": "n"}, net=net)
    assert found.axes["1.weight"] == found.axes["0.weight"]
    assert "1.weight[0]" in [str(member) for member in found.groups[0].members]


def test_other_axes_say_how_they_could_shrink() -> None:
    axes = {(axis.target, axis.axis): axis for axis in declare(MLP).groups.frozen}
    assert axes["0.two.weight", 0].reason == "named by no group"
    assert axes["0.two.weight", 0].remedy == "name it in groups="


def test_an_unsound_group_keeps_its_size_with_its_reason() -> None:
    found = declare_groups(nn.Sequential(Pair(), Pair(6)), [MLP], {"0.one": "unsound, because"})
    assert found.groups.sizes == {"1.one": 6}
    assert {axis.reason for axis in found.groups.frozen if axis.target == "0.one.weight"} >= {"unsound, because"}


# ruff: noqa: E501 (error texts whole)
@pytest.mark.parametrize(
    ("declarations", "words"),
    [
        ([], "expected at least one group in groups=, got none"),
        ([{"0.on.weight": "n _"}], "expected '0.on.weight' of groups= to match a parameter, a buffer or a number of a module, got none; the nearest name is '0.one.weight'"),
        ([{"{}.one.weight": "n _", "0.two.weight": "_ n"}], "expected as many {} in every pattern of a group, got '{}.one.weight', '0.two.weight'"),
        ([{"0.one.weight": "n _", "0.two.weight": "_ m"}], "expected one width in the shapes of a group, got m, n for 0.one.weight, 0.two.weight"),
        ([{"0.one.weight": "_ _"}], "expected one width in the shapes of a group, got none"),
        ([{"0.one.weight": "n _", "1.two.weight": "_ n"}], "expected the same number of units in every member of a group, got 6 (6 in all) at 1.two.weight[1] and 8 at 0.one.weight[0]"),
        ([{"0.one.weight": "(3 n) _"}], "expected the same number of units in every member of a group, got 8, which no width gives at 0.one.weight[0]; write the factors"),
        ([{"0.one.weight": "n _"}, {"0.one.*": 0}], "expected each axis to belong to one group, got 0.one.weight[0] in two of groups="),
        ([{"0.one.weight": "n"}], "expected 2 axes for 0.one.weight [8, 4], got 1 in 'n'"),
    ],
)  # fmt: skip
def test_each_misfit_is_an_error_that_names_it(declarations: Sequence[Declaration], words: str) -> None:
    with pytest.raises(GroupError, match=re.escape(words)):
        declare(*declarations)


def test_nothing_left_is_an_error() -> None:
    with pytest.raises(GroupError, match=r"expected a group that can shrink, got none \(0.one: unsound, because\)"):
        declare_groups(nn.Sequential(Pair()), [MLP], {"0.one": "unsound, because"})
