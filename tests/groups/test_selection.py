import pytest

from widthwise._shared import GroupError
from widthwise.groups import ALL, Selection

NAMES = ["fc1", "fc1.weight", "fc2.weight", "block.heads", "block.q.weight"]


def test_by_default_everything_may_shrink() -> None:
    assert Selection() == ALL
    assert ALL.refuse("fc1", ["fc1.weight"]) is None
    assert (ALL.stream, ALL.queries, ALL.values) == (None, False, False)


@pytest.mark.parametrize("pattern", ["fc1", "fc*", "fc2.weight", "*.weight", "[ef]c1", "*"])
def test_what_matches_by_its_name_or_a_parameter_keeps_its_size(pattern: str) -> None:
    assert Selection(freeze=("other", pattern)).refuse("fc1", ["fc1.weight", "fc2.weight"]) == f"freeze={pattern!r}"


@pytest.mark.parametrize("pattern", ["fc", "FC1", "weight", "fc1.bias"])
def test_a_pattern_is_of_a_whole_name_in_its_own_case(pattern: str) -> None:
    assert Selection(freeze=(pattern,)).refuse("fc1", ["fc1.weight"]) is None


@pytest.mark.parametrize("pattern", ["fc1", "*.weight"])
def test_what_matches_none_of_those_wanted_keeps_its_size(pattern: str) -> None:
    wanted = Selection(only=("other", pattern))
    assert wanted.refuse("fc1", ["fc1.weight"]) is None
    assert wanted.refuse("conv", ["conv.bias"]) == f"matches none of only=['other', {pattern!r}]"


def test_what_is_wanted_and_frozen_is_frozen() -> None:
    assert Selection(only=("fc*",), freeze=("fc1",)).refuse("fc1", []) == "freeze='fc1'"
    assert Selection(only=("fc*",), freeze=("fc1",)).refuse("fc2", []) is None


@pytest.mark.parametrize("argument", ["freeze", "only"])
def test_a_pattern_that_matches_nothing_is_an_error(argument: str) -> None:
    with pytest.raises(GroupError) as caught:
        Selection(**{argument: ("fc1", "fc3*")}).check([*NAMES, "fc1"])  # pyright: ignore[reportArgumentType]
    assert str(caught.value) == (
        f"expected {argument} to match a width group or a parameter of one, got 'fc3*', which matches none; the groups "
        "are fc1, fc1.weight, fc2.weight, block.heads, block.q.weight"
    )


@pytest.mark.parametrize("pattern", NAMES)
def test_a_pattern_that_matches_something_is_none(pattern: str) -> None:
    Selection(freeze=(pattern,), only=("block.*",)).check(NAMES)
    assert any(pattern == name for name in NAMES)
