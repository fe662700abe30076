from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from widthwise.groups import FrozenAxis, Group, Member, units

FC2 = Group(name="fc2", size=64, lower_bound=4, key=2, members=(Member(target="fc2.weight", axis=0),))


@pytest.mark.parametrize(("fraction", "kept"), [(1.0, 64), (0.5, 32), (0.01, 4)])
def test_a_fraction_moves_a_group_that_follows_down_to_its_bound(fraction: float, kept: int) -> None:
    assert FC2.units_at(fraction) == kept


@given(st.floats(0, 1, exclude_min=True), st.integers(1, 100), st.integers(1, 100))
def test_a_fraction_leaves_whole_what_moves_by_name_only(fraction: float, size: int, bound: int) -> None:
    group = Group(name="a", size=size, lower_bound=bound, members=(), key=1)
    assert group.units_at(fraction) == units(fraction, size, bound)
    assert replace(group, follows=False).units_at(fraction) == size


def test_a_member_is_told_by_its_parameter_and_axis() -> None:
    assert str(Member(target="fc1.weight", axis=0)) == "fc1.weight[0]"


def test_a_frozen_axis_may_have_no_remedy() -> None:
    assert FrozenAxis(target="a", axis=0, size="3", reason="because").remedy == ""
