import math

import pytest
import sympy
import torch
from torch.utils._sympy.functions import FloatPow, FloorDiv, IntTrueDiv, ToFloat

from widthwise.graph import Atom, Formula, Frozen, Product

N, M = sympy.symbols("n m", integer=True, positive=True)
UNITS, CHANNELS = Atom(1, 8), Atom(2, 3)


def make(expression: sympy.Expr, full: float) -> Formula:
    return Formula(expression=expression, terms=((N, UNITS),), full=full)


@pytest.mark.parametrize(
    ("expression", "full", "at_five"),
    [
        (N, 8, 5),
        (N - 1, 7, 4),
        (FloorDiv(N, 2), 4, 2),
        (FloatPow(ToFloat(N), -0.5), 8**-0.5, 5**-0.5),
        (IntTrueDiv(1, N), 1 / 8, 1 / 5),
        (ToFloat(N), 8.0, 5.0),
    ],
)
def test_the_number_is_that_of_the_kept_units(expression: sympy.Expr, full: float, at_five: float) -> None:
    found = make(expression, full).at({1: 5})
    assert found == pytest.approx(at_five, rel=1e-15)
    assert type(found) is type(full)


def test_at_full_width_it_is_the_traced_one_to_the_last_bit() -> None:
    traced = math.nextafter(8**-0.5, 1)
    assert make(FloatPow(ToFloat(N), -0.5), traced).at({2: 1}) == traced


def test_kept_sets_may_be_indices_and_axes_may_be_products() -> None:
    axis = Product((UNITS, Frozen(4, "kernel")))
    formula = Formula(expression=N + M, terms=((N, axis), (M, CHANNELS)), full=35)
    assert formula.at({1: torch.tensor([0, 3, 7])}) == 15
    assert formula.at({1: 2, 2: 1}) == 9


def test_a_number_of_a_single_unit_may_be_infinite() -> None:
    assert make(IntTrueDiv(1, N - 1), 1 / 7).at({1: 1}) == math.inf
    assert make(1 / (N - 1), 1 / 7).at({1: 1}) == math.inf
