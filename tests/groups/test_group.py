import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.networks import shared_model
from widthwise.groups import FrozenAxis, Group, Groups, Member, units

FC1 = Group(
    name="fc1", size=8, key=1, members=(Member(target="fc1.weight", axis=0), Member(target="fc2.weight", axis=1))
)
FC2 = Group(name="fc2", size=64, lower_bound=4, key=2, members=(Member(target="fc2.weight", axis=0),))
FROZEN = FrozenAxis(target="fc1.weight", axis=1, size="5", reason="input of the model")
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
        "frozen         size  why\n"
        "fc1.weight[1]  5     input of the model"
    )
    assert repr(Groups([FC2], [])) == "group  units  members\nfc2    64     fc2.weight[0]"


def test_printing_tells_which_groups_a_fraction_moves_where_not_all_of_them_do() -> None:
    moved = replace(FC2, kind="stream", follows=False)
    assert repr(Groups([FC1, moved], [])) == (
        "group  units  moves     members\n"
        "fc1    8      by width  fc1.weight[0], fc2.weight[1]\n"
        "fc2    64     by name   fc2.weight[0]"
    )


@pytest.mark.parametrize(("fraction", "kept"), [(1.0, 64), (0.5, 32), (0.01, 4)])
def test_a_fraction_moves_a_group_that_follows_down_to_its_bound(fraction: float, kept: int) -> None:
    assert FC2.units_at(fraction) == kept


@given(st.floats(0, 1, exclude_min=True), st.integers(1, 100), st.integers(1, 100))
def test_a_fraction_leaves_whole_what_moves_by_name_only(fraction: float, size: int, bound: int) -> None:
    group = Group(name="a", size=size, lower_bound=bound, members=(), key=1)
    assert group.units_at(fraction) == units(fraction, size, bound)
    assert replace(group, follows=False).units_at(fraction) == size


def test_everything_can_be_written_as_json() -> None:
    follows: dict[str, object] = {"kind": "units", "follows": True}
    assert GROUPS.to_dict() == {
        "groups": [
            {"name": "fc1", "size": 8, "lower_bound": 1, "members": ["fc1.weight[0]", "fc2.weight[1]"], **follows},
            {"name": "fc2", "size": 64, "lower_bound": 4, "members": ["fc2.weight[0]"], **follows},
        ],
        "frozen": [{"target": "fc1.weight", "axis": 1, "size": "5", "reason": "input of the model"}],
        "constants": [],
    }


def test_the_groups_of_a_network_survive_json() -> None:
    groups = shared_model("conv").groups
    content = json.loads(json.dumps(groups.to_dict(), allow_nan=False))
    assert content == groups.to_dict()
    assert [each["name"] for each in content["groups"]] == list(groups.sizes)
