from typing import Any

import pytest

from widthwise._shared import RecipeError
from widthwise.zoo.models.count import check_counts, check_share, check_sizes, is_count


@pytest.mark.parametrize(("value", "expected"), [(1, True), (10**6, True), (0, False), (-1, False)])
def test_positive_integers_are_counts(value: object, expected: bool) -> None:
    assert is_count(value) is expected


@pytest.mark.parametrize("value", [True, 1.0, "1", None, [1]])
def test_nothing_but_an_integer_is_a_count(value: object) -> None:
    assert is_count(value) is False


@pytest.mark.parametrize("value", [0, -1, 1.5, True, "3"])
def test_a_count_that_is_none_is_an_error_that_names_the_setting(value: Any) -> None:
    check_counts(depth=1, width=3)
    with pytest.raises(RecipeError) as caught:
        check_counts(depth=1, width=value, side=0)
    assert str(caught.value) == f"width must be a positive integer, got {value!r}; write for example 3"


@pytest.mark.parametrize("sizes", [[], [16, 0], [16, 2.5], "16", 16])
def test_sizes_that_are_none_are_an_error_that_names_the_setting(sizes: Any) -> None:
    check_sizes("widths", (16, 1), what="channels", example="[16, 24]")
    with pytest.raises(RecipeError) as caught:
        check_sizes("widths", sizes, what="channels", example="[16, 24]")
    assert str(caught.value) == (
        f"widths must be one or more positive integers (channels), got {sizes!r}; write for example [16, 24]"
    )


@pytest.mark.parametrize("value", [-0.1, 1, 1.0, float("nan"), True, "0.1", None])
def test_a_share_that_is_none_is_an_error_that_names_the_setting(value: Any) -> None:
    check_share("dropout", 0)
    check_share("dropout", 0.999)
    with pytest.raises(RecipeError) as caught:
        check_share("dropout", value)
    assert str(caught.value) == f"dropout must be a number from 0 to below 1, got {value!r}; write for example 0.1"
