import pytest

from widthwise.zoo.models.count import is_count


@pytest.mark.parametrize(("value", "expected"), [(1, True), (10**6, True), (0, False), (-1, False)])
def test_positive_integers_are_counts(value: object, expected: bool) -> None:
    assert is_count(value) is expected


@pytest.mark.parametrize("value", [True, 1.0, "1", None, [1]])
def test_nothing_but_an_integer_is_a_count(value: object) -> None:
    assert is_count(value) is False
