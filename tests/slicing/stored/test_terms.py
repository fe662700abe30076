import json
from typing import Any

import pytest
import sympy
from hypothesis import given

from tests.slicing.stored.test_shells import terms
from widthwise._shared import ExportError
from widthwise.graph import Atom, Formula, Frozen, Product, Sum, Term, count, size_of
from widthwise.slicing.stored.terms import read_size, read_term, write_size, write_term

KEYS = {0: 1, 1: 0}
N = sympy.Symbol("n", integer=True, positive=True)


def through_json(data: Any) -> Any:
    return json.loads(json.dumps(data))


def formula(expression: Any, full: float) -> Formula:
    return Formula(expression=sympy.sympify(expression), terms=((N, Atom(0, 16)),), full=full)


@given(terms)
def test_a_term_that_is_read_has_the_same_positions(term: Term) -> None:
    read = read_term(through_json(write_term(term, KEYS)))
    assert size_of(read) == size_of(term)
    assert count(read, {1: 2, 0: 3}) == count(term, {0: 2, 1: 3})


@pytest.mark.parametrize("expression", [1 / sympy.sqrt(N), N // 2, sympy.Rational(1, 3) * N**2 - 4, sympy.Max(N, 3)])
def test_a_formula_that_is_read_gives_the_same_numbers(expression: Any) -> None:
    one = formula(expression, float(expression.subs(N, 16)))
    other = read_size(through_json(write_size(one, KEYS)))
    assert isinstance(other, Formula)
    assert [other.at({1: kept}) for kept in range(1, 17)] == [one.at({0: kept}) for kept in range(1, 17)]


def test_a_term_is_a_size_too() -> None:
    term = Sum((Product((Atom(0, 3), Frozen(2, ""))), Frozen(5, "")))
    assert read_size(through_json(write_size(term, KEYS))) == Sum(
        (Product((Atom(1, 3), Frozen(2, "stored"))), Frozen(5, "stored"))
    )


def test_units_of_no_group_are_a_size() -> None:
    assert write_term(Atom(7, 4), KEYS) == 4


def test_an_operation_that_cannot_be_written_is_an_error() -> None:
    with pytest.raises(ExportError) as caught:
        write_size(formula(sympy.gamma(N), 1.0), KEYS)
    assert str(caught.value) == (
        "expected numbers that follow from widths by plain arithmetic, got gamma in gamma(n); extract the widths that "
        "you need one by one"
    )


@pytest.mark.parametrize("data", [["product of", 3], ["units", "0", 3], [["units"], 1]])
def test_what_is_no_term_is_not_read(data: Any) -> None:
    with pytest.raises(TypeError):
        read_term(data)


def test_what_stands_in_a_file_is_looked_up_and_never_evaluated() -> None:
    data = {"formula": ["__import__('os').system", 1], "symbols": [], "full": 1}
    with pytest.raises(TypeError, match=r"^expected an operation on sizes, got \"__import__"):
        read_size(data)
    with pytest.raises(KeyError):
        read_size({**data, "formula": "__import__('os')"})
    with pytest.raises(TypeError, match="expected a number"):
        read_size({**data, "full": "1"})
