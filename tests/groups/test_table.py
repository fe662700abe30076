from dataclasses import replace

import pytest

from widthwise.groups import FrozenAxis, Group, Member, SizedConstant
from widthwise.groups.table import list_constants, list_frozen, list_groups


def make_group(num_members: int) -> Group:
    members = tuple(Member(target=f"l{i}.weight", axis=0) for i in range(num_members))
    return Group(name="a", size=8, members=members, key=1)


def kernel(layer: int, axis: int, *, size: str = "3", line: int = 7) -> FrozenAxis:
    reason = f"aten.conv2d (net.py:{line}) has a kernel of this size"
    return FrozenAxis(target=f"c{layer}.weight", axis=axis, size=size, reason=reason, remedy="nothing: a kernel")


@pytest.mark.parametrize(
    ("num_members", "words"),
    [
        (1, "l0.weight[0]"),
        (5, "l0.weight[0], l1.weight[0], l2.weight[0], l3.weight[0], l4.weight[0]"),
        (6, "l0.weight[0], l1.weight[0], l2.weight[0], l3.weight[0] and 2 more"),
        (100, "l0.weight[0], l1.weight[0], l2.weight[0], l3.weight[0] and 96 more"),
    ],
)
def test_the_first_members_of_a_group_are_listed_and_the_rest_counted(num_members: int, words: str) -> None:
    assert list_groups([make_group(num_members)]) == ["group  units  members", f"a      8      {words}"]


def test_axes_of_one_reason_are_one_line_wherever_in_the_source_it_is() -> None:
    axes = [kernel(layer, axis, line=layer) for layer in range(6) for axis in (2, 3)]
    assert "\n".join(list_frozen(axes)) == (
        "frozen because                         axes  size  to unfreeze        which\n"
        "aten.conv2d has a kernel of this size  12    3     nothing: a kernel  "
        "c0.weight[2, 3], c1.weight[2, 3], c2.weight[2, 3] and 3 more"
    )


def test_the_line_of_the_source_is_told_where_there_is_one() -> None:
    assert list_frozen([kernel(0, 2), kernel(0, 3)])[1].startswith(
        "aten.conv2d (net.py:7) has a kernel of this size  2"
    )


def test_reasons_stay_apart_and_in_order() -> None:
    axes = [kernel(0, 2), replace(kernel(0, 0), reason="output of the model"), kernel(1, 2)]
    assert [line.split("  ")[0] for line in list_frozen(axes)[1:]] == [kernel(0, 2).reason, "output of the model"]


def test_one_reason_with_two_remedies_is_two_lines() -> None:
    assert len(list_frozen([kernel(0, 2), replace(kernel(1, 2), remedy="another")])) == 3


def test_the_sizes_of_one_line_are_told_once_each_and_cut_short() -> None:
    assert "  1, 3  " in list_frozen([kernel(i, 2, size=size) for i, size in enumerate("1313")])[1]
    assert "  1, 2, 3, ...  " in list_frozen([kernel(i, 2, size=size) for i, size in enumerate("12345")])[1]


def test_constants_name_the_first_groups_of_their_size() -> None:
    groups = tuple(f"g{i}" for i in range(9))
    constant = SizedConstant(place="aten.mul (net.py:3)", value=0.125, formula="1 / 8", groups=groups)
    assert list_constants([constant]) == [
        "constant  maybe                           kept as it is by",
        "0.125     1 / 8 of g0, g1, g2 and 6 more  aten.mul (net.py:3)",
    ]
