import pytest
from hypothesis import given
from hypothesis import strategies as st

from widthwise._shared import WidthError
from widthwise.groups.width import check_count, units

SIZES = st.integers(1, 5000)
FRACTIONS = st.floats(0, 1, exclude_min=True)
BOUNDS = st.integers(1, 6000)


@given(size=SIZES, fraction=FRACTIONS)
def test_units_is_the_nearest_whole_number(size: int, fraction: float) -> None:
    kept = units(fraction, size)
    if kept > 1:
        assert abs(kept - fraction * size) <= 0.5


@given(size=SIZES, bound=BOUNDS)
def test_fraction_one_is_full_width(size: int, bound: int) -> None:
    assert units(1.0, size, bound) == size


@given(size=SIZES, fraction=FRACTIONS, bound=BOUNDS)
def test_units_lie_between_the_lower_bound_and_the_size(size: int, fraction: float, bound: int) -> None:
    assert min(bound, size) <= units(fraction, size, bound) <= size


@given(size=SIZES, fractions=st.tuples(FRACTIONS, FRACTIONS), bound=BOUNDS)
def test_a_larger_fraction_never_keeps_fewer_units(size: int, fractions: tuple[float, float], bound: int) -> None:
    low, high = sorted(fractions)
    assert units(low, size, bound) <= units(high, size, bound)


@pytest.mark.parametrize(
    ("fraction", "size", "bound", "kept"),
    [(0.25, 10, 1, 3), (0.5, 5, 1, 3), (0.1, 4, 1, 1), (1e-9, 256, 1, 1), (0.25, 256, 96, 96), (0.5, 3, 8, 3)],
)
def test_halves_round_up_and_bounds_hold(fraction: float, size: int, bound: int, kept: int) -> None:
    assert units(fraction, size, bound) == kept


@pytest.mark.parametrize("fraction", [0, 0.0, -0.5, 1.5, float("nan")])
def test_a_fraction_outside_its_range_is_refused(fraction: float) -> None:
    with pytest.raises(WidthError) as error:
        units(fraction, 8)
    assert str(error.value) == f"fraction must lie in (0, 1], got {fraction!r}; use 1.0 for the full width"


def test_a_size_of_nothing_is_refused() -> None:
    with pytest.raises(WidthError) as error:
        units(0.5, 0)
    assert str(error.value) == "size must be a whole number, at least 1, got 0; leave out a group without units"


def test_a_lower_bound_of_nothing_is_refused() -> None:
    with pytest.raises(WidthError) as error:
        units(0.5, 8, 0)
    assert str(error.value) == "lower_bound must be a whole number, at least 1, got 0; use 1 for no bound"


@pytest.mark.parametrize("value", [0, -3, 1.0, True, "4", None])
def test_what_is_no_count_is_refused(value: object) -> None:
    with pytest.raises(WidthError) as error:
        check_count("step", value, "use 1 for every width")
    assert str(error.value) == f"step must be a whole number, at least 1, got {value!r}; use 1 for every width"
