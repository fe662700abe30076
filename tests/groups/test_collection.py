import json
from dataclasses import replace

import pytest
import sympy
from torch import fx

from tests.networks import shared_model
from widthwise.graph import Formula
from widthwise.groups import FrozenAxis, Group, Groups, Member, SizedConstant

FC1 = Group(
    name="fc1", size=8, key=1, members=(Member(target="fc1.weight", axis=0), Member(target="fc2.weight", axis=1))
)
FC2 = Group(name="fc2", size=64, lower_bound=4, key=2, members=(Member(target="fc2.weight", axis=0),))
FROZEN = FrozenAxis(target="fc1.weight", axis=1, size="5", reason="input of the model", remedy="nothing: it is")
GROUPS = Groups([FC1, FC2], [FROZEN])


def test_groups_are_a_sequence() -> None:
    assert len(GROUPS) == 2
    assert list(GROUPS) == [FC1, FC2]
    assert GROUPS[1] == GROUPS[-1] == FC2
    assert GROUPS[:1] == (FC1,)
    assert FC1 in GROUPS


def test_a_group_is_found_by_its_name() -> None:
    assert GROUPS["fc2"] is FC2
    with pytest.raises(KeyError, match=r"expected the name of a width group, got 'fc3'; the groups are fc1, fc2"):
        GROUPS["fc3"]


def test_sizes_are_told_by_name() -> None:
    assert GROUPS.sizes == {"fc1": 8, "fc2": 64}


def test_printing_shows_members_and_what_is_frozen_and_why() -> None:
    assert repr(GROUPS) == (
        "group  units  members\n"
        "fc1    8      fc1.weight[0], fc2.weight[1]\n"
        "fc2    64     fc2.weight[0]\n"
        "\n"
        "frozen because      axes  size  to unfreeze     which\n"
        "input of the model  1     5     nothing: it is  fc1.weight[1]"
    )
    assert repr(Groups([FC2], [])) == "group  units  members\nfc2    64     fc2.weight[0]"


def test_printing_tells_which_groups_a_fraction_moves_where_not_all_of_them_do() -> None:
    moved = replace(FC2, kind="stream", follows=False)
    assert repr(Groups([FC1, moved], [])) == (
        "group  units  moves     members\n"
        "fc1    8      by width  fc1.weight[0], fc2.weight[1]\n"
        "fc2    64     by name   fc2.weight[0]"
    )


def test_everything_can_be_written_as_json() -> None:
    follows: dict[str, object] = {"kind": "units", "follows": True}
    assert GROUPS.to_dict() == {
        "groups": [
            {"name": "fc1", "size": 8, "lower_bound": 1, "members": ["fc1.weight[0]", "fc2.weight[1]"], **follows},
            {"name": "fc2", "size": 64, "lower_bound": 4, "members": ["fc2.weight[0]"], **follows},
        ],
        "frozen": [
            {"target": "fc1.weight", "axis": 1, "size": "5", "reason": "input of the model", "remedy": "nothing: it is"}
        ],
        "constants": [],
    }


def test_json_and_the_sequences_hold_what_printing_leaves_out() -> None:
    members = tuple(Member(target=f"layer{i}.weight", axis=0) for i in range(20))
    frozen = [replace(FROZEN, target=f"conv{i}.weight") for i in range(20)]
    groups = Groups([replace(FC1, members=members)], frozen)
    assert "layer19" not in repr(groups)
    assert "conv19" not in repr(groups)
    content = groups.to_dict()
    assert content["groups"][0]["members"] == [str(member) for member in members]
    assert [each["target"] for each in content["frozen"]] == [axis.target for axis in groups.frozen]
    assert len(groups.frozen) == 20


def test_a_hundred_groups_are_a_hundred_short_lines() -> None:
    members = tuple(Member(target=f"layer{i}.weight", axis=0) for i in range(200))
    frozen = [replace(FROZEN, target=f"conv{i}.weight") for i in range(500)]
    groups = Groups([replace(FC1, name=f"group{i}", members=members) for i in range(100)], frozen)
    lines = repr(groups).splitlines()
    assert len(lines) == 1 + 100 + 1 + 2
    assert max(map(len, lines)) <= 120


def test_the_groups_of_a_network_survive_json() -> None:
    groups = shared_model("conv").groups
    content = json.loads(json.dumps(groups.to_dict(), allow_nan=False))
    assert content == groups.to_dict()
    assert [each["name"] for each in content["groups"]] == list(groups.sizes)


def test_constants_that_follow_the_width_are_taken_off_the_list() -> None:
    node = fx.Graph().placeholder("mul")
    formula = Formula(expression=sympy.Integer(8), terms=(), full=8)
    constants = [
        SizedConstant(place="", value=8.0, formula="8", groups=("fc1",), node=node.name, argument=argument)
        for argument in ("self", "other")
    ]
    groups = Groups([FC1], [FROZEN], constants, {"fc1.weight": 1})
    left = groups.without({node: {"other": formula}})
    assert left.constants == (constants[0],)
    assert (list(left), left.frozen, left.summed) == (list(groups), groups.frozen, groups.summed)
    assert groups.without({}).constants == groups.constants
