from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from widthwise._shared import WidthError
from widthwise.elastic import HasWidths, resolve_widths
from widthwise.elastic.widths import mean_fraction
from widthwise.groups import Group, Groups

GROUPS = Groups(
    [Group(name="fc1", size=64, members=(), key=1), Group(name="block.fc2", size=10, members=(), key=2, lower_bound=3)],
    [],
)


@dataclass
class Spot:
    widths: dict[str, int]


def error_of(width: Any) -> str:
    with pytest.raises(WidthError) as caught:
        resolve_widths(width, GROUPS)
    assert isinstance(caught.value, ValueError)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@given(fraction=st.floats(0, 1, exclude_min=True))
def test_a_fraction_keeps_the_nearest_number_of_units_and_never_less_than_the_lower_bound(fraction: float) -> None:
    assert resolve_widths(fraction, GROUPS) == {
        "fc1": max(1, int(fraction * 64 + 0.5)), "block.fc2": max(3, int(fraction * 10 + 0.5)),
    }  # fmt: skip


def test_a_mapping_names_units_or_fractions_and_the_rest_stays_full() -> None:
    assert resolve_widths({"fc1": 5}, GROUPS) == {"fc1": 5, "block.fc2": 10}
    assert resolve_widths({"block.fc2": 0.5, "fc1": 0.25}, GROUPS) == {"fc1": 16, "block.fc2": 5}
    assert resolve_widths({}, GROUPS) == GROUPS.sizes
    assert resolve_widths({"block.fc2": 1}, GROUPS)["block.fc2"] == 1


def test_whole_numbers_of_numpy_are_units() -> None:
    widths = resolve_widths({"fc1": np.int64(5), "block.fc2": np.float64(0.5)}, GROUPS)
    assert widths == {"fc1": 5, "block.fc2": 5}
    assert all(type(kept) is int for kept in widths.values())


def test_a_point_of_a_curve_knows_its_widths() -> None:
    assert isinstance(Spot({"fc1": 7}), HasWidths)
    assert resolve_widths(Spot({"fc1": 7}), GROUPS) == {"fc1": 7, "block.fc2": 10}


@pytest.mark.parametrize("fraction", [0.0, -0.5, 1.5, 64.0, float("nan"), float("inf")])
def test_a_fraction_out_of_range_is_an_error(fraction: float) -> None:
    assert error_of(fraction) == (
        f"a width as a fraction of every group must lie in (0, 1], got {fraction!r}; "
        "0.5 keeps half of the units (32 of 64 in fc1), 1.0 all"
    )
    assert error_of({"fc1": fraction}) == (
        f"a fraction of fc1 (64 units) must lie in (0, 1], got {fraction!r}; use 1.0 for the full model"
    )


@pytest.mark.parametrize("kept", [0, -1, 65, True, "4", None, 2**70])
def test_units_out_of_range_are_an_error(kept: Any) -> None:
    assert error_of({"fc1": kept}) == (
        f"kept must lie in [1, 64] (width of fc1), got {kept!r}; use kept=64 for the full model"
    )


@pytest.mark.parametrize("width", [1, True, np.int64(1)])
def test_a_whole_number_of_one_is_told_from_full_width(width: Any) -> None:
    assert error_of(width) == (
        f"a width must be a fraction in (0, 1], a dict of group names or a point of a curve, got {width!r}; write 1.0 "
        "for full width, for units of one group write {'fc1': 4} (fc1 has 1 to 64)"
    )


@pytest.mark.parametrize("width", [4, 0, False, "0.5", None, [0.5], (1, 2)])
def test_another_type_is_an_error(width: Any) -> None:
    assert error_of(width) == (
        f"a width must be a fraction in (0, 1], a dict of group names or a point of a curve, got {width!r}; for units "
        "of one group write {'fc1': 4} (fc1 has 1 to 64)"
    )


def test_a_long_value_is_shown_on_one_short_line() -> None:
    assert "got [0, 0, 0" in error_of([0] * 1000)
    assert len(error_of([0] * 1000)) < 300
    assert "got array([[0., 0.], [0., 0.]]); " in error_of(np.zeros((2, 2)))


def test_an_unknown_group_is_an_error() -> None:
    assert error_of({"block.fc": 3}) == "expected the name of a width group, got 'block.fc'; did you mean 'block.fc2'?"
    assert error_of({"zzz": 3}) == "expected the name of a width group, got 'zzz'; the groups are fc1, block.fc2"
    assert error_of({0: 3}) == "expected the name of a width group, got 0; the groups are fc1, block.fc2"
    assert error_of(Spot({"conv": 3})).startswith("expected the name of a width group, got 'conv'; ")


def test_the_mean_fraction_is_geometric() -> None:
    assert mean_fraction({"fc1": 16, "block.fc2": 10}, GROUPS) == pytest.approx(0.5, rel=1e-12)
    assert mean_fraction(GROUPS.sizes, GROUPS) == 1.0
