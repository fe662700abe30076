import re

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from widthwise._shared import GroupError
from widthwise.graph import Atom, Frozen, count, indices, size_of
from widthwise.groups.shape import AxisShape, parse_shape

numbers = st.integers(1, 5)


@given(outer=numbers, units=numbers, inner=numbers, tail=st.integers(0, 4))
def test_an_axis_is_what_its_shape_says(outer: int, units: int, inner: int, tail: int) -> None:
    text = f"({outer} n {inner} + {tail})" if tail else f"({outer} n {inner})"
    (axis,) = parse_shape(text, 1, "w")
    size = outer * units * inner + tail
    assert axis.solve(size) == units
    term = axis.to_term(size, Atom(0, units), "fixed")
    assert size_of(term) == size
    kept = {0: 1}
    assert count(term, kept) == outer * inner + tail
    places = torch.arange(outer * units * inner).view(outer, units, inner)[:, :1].reshape(-1)
    assert indices(term, kept).tolist() == [*places.tolist(), *range(size - tail, size)]


def test_a_number_is_the_axis_that_is_the_width() -> None:
    assert parse_shape(1, 2, "w") == parse_shape("_ n", 2, "w")
    assert parse_shape(-2, 2, "w") == parse_shape("n _", 2, "w")


def test_axes_without_the_width_keep_their_size() -> None:
    shapes = parse_shape("_ n 7 (3 2)", 4, "w")
    assert [axis.names for axis in shapes] == [set(), {"n"}, set(), set()]
    assert shapes[2].to_term(7, Atom(0, 4), "fixed") == Frozen(7, "fixed")


def test_segments_are_read() -> None:
    assert parse_shape("(n + 2 n + 16)", 1, "w") == (AxisShape(segments=(("n",), (2, "n"), (16,))),)


def test_a_size_that_no_width_gives_has_none() -> None:
    (axis,) = parse_shape("(3 n + 1)", 1, "w")
    assert axis.solve(10) == 3
    assert axis.solve(11) is None
    assert axis.solve(1) is None


@pytest.mark.parametrize("text", ["(n", "n)", "(n + )", "(n n)", "n-1", "(0 n)", "(n * 2)"])
def test_a_shape_that_cannot_be_read_is_an_error(text: str) -> None:
    with pytest.raises(
        GroupError, match=re.escape(f"expected a shape such as 'n _' or '(3 n 64) _' for w, got {text!r}")
    ):
        parse_shape(text, 1, "w")


def test_another_number_of_axes_is_an_error() -> None:
    with pytest.raises(
        GroupError, match=re.escape("expected 2 axes for w, got 1 in 'n'; write _ for an axis that stays")
    ):
        parse_shape("n", 2, "w")


def test_an_axis_that_is_not_there_is_an_error() -> None:
    with pytest.raises(GroupError, match=r"^expected an axis of w, which has 2, got 2; count from 0$"):
        parse_shape(2, 2, "w")
