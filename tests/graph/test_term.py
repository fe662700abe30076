import pytest
import sympy
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.graph.terms import kept_counts, positions_by_hand, terms
from widthwise.graph import (
    Atom,
    Frozen,
    Product,
    Solver,
    Sum,
    Term,
    atoms_of,
    count,
    indices,
    is_prefix,
    join_segments,
    multiply_factors,
    size_of,
)
from widthwise.graph.term import quotient

A, B = Atom(1, 4), Atom(2, 3)
BATCH, TIME = sympy.symbols("batch time", integer=True, positive=True)


@given(st.data(), terms())
def test_indices_are_the_positions_whose_units_are_all_kept(data: st.DataObject, term: Term) -> None:
    kept = data.draw(kept_counts(term))
    assert indices(term, kept).tolist() == positions_by_hand(term, kept)


@given(st.data(), terms())
def test_count_is_the_number_of_indices(data: st.DataObject, term: Term) -> None:
    kept = data.draw(kept_counts(term))
    assert count(term, kept) == len(indices(term, kept))


@given(st.data(), terms())
def test_an_axis_is_a_prefix_exactly_where_its_indices_count_up_from_zero(data: st.DataObject, term: Term) -> None:
    kept = data.draw(kept_counts(term))
    assert is_prefix(term, kept) == (indices(term, kept).tolist() == list(range(count(term, kept))))


@given(terms())
def test_everything_is_kept_where_nothing_is_said(term: Term) -> None:
    assert count(term, {}) == size_of(term)
    assert is_prefix(term, {})


@given(st.data(), terms())
def test_kept_sets_may_be_indices_and_are_then_no_prefix(data: st.DataObject, term: Term) -> None:
    atoms = list(dict.fromkeys(atoms_of(term)))
    kept = {
        atom.key: torch.tensor(sorted(data.draw(st.sets(st.integers(0, atom.size - 1), min_size=1)))) for atom in atoms
    }
    assert indices(term, kept).tolist() == positions_by_hand(term, kept)
    assert count(term, kept) == len(indices(term, kept))
    assert is_prefix(term, kept) == (not atoms)


@given(st.lists(terms(max_depth=2), min_size=1, max_size=4))
def test_multiplying_keeps_sizes_and_positions(factors: list[Term]) -> None:
    simple, plain = multiply_factors(tuple(factors)), Product(tuple(factors))
    assert size_of(simple) == size_of(plain)
    kept = {atom.key: 1 for atom in atoms_of(plain)}
    assert indices(simple, kept).tolist() == indices(plain, kept).tolist()


@given(st.lists(terms(max_depth=2), min_size=1, max_size=4))
def test_joining_keeps_sizes_and_positions(parts: list[Term]) -> None:
    simple, plain = join_segments(tuple(parts)), Sum(tuple(parts))
    assert size_of(simple) == size_of(plain)
    kept = {atom.key: 1 for atom in atoms_of(plain)}
    assert indices(simple, kept).tolist() == indices(plain, kept).tolist()


@given(st.lists(terms(max_depth=2), min_size=1, max_size=4))
def test_simple_forms_are_flat_and_stay_as_they_are(children: list[Term]) -> None:
    simple = tuple(Solver().resolve(child) for child in children)
    product, total = multiply_factors(simple), join_segments(simple)
    assert multiply_factors((product,)) == product
    assert join_segments((total,)) == total
    assert not isinstance(product, Product) or not any(isinstance(factor, Product) for factor in product.factors)
    assert not isinstance(total, Sum) or not any(isinstance(part, Sum) for part in total.parts)


def test_factors_of_size_one_and_empty_segments_vanish() -> None:
    assert multiply_factors((Frozen(1, "one"), A, Frozen(1, "one"))) == A
    assert multiply_factors(()) == Frozen(1, "size 1")
    assert join_segments((Frozen(0, "none"), A)) == A
    assert join_segments(()) == Frozen(0, "empty")


def test_frozen_neighbours_are_one_frozen_axis_with_the_first_reason() -> None:
    assert multiply_factors((A, Frozen(2, "first"), Frozen(3, "second"))) == Product((A, Frozen(6, "first")))
    assert multiply_factors((Frozen(2, "first"), Frozen(3, "second"))) == Frozen(6, "first")
    assert join_segments((Frozen(2, "first"), Frozen(3, "second"))) == Frozen(5, "first")


@given(terms())
def test_atoms_are_told_from_left_to_right(term: Term) -> None:
    keys = [atom.key for atom in atoms_of(term)]
    assert keys == sorted(keys)


def test_an_atom_that_stands_twice_is_told_twice() -> None:
    assert list(atoms_of(Sum((A, B, A)))) == [A, B, A]


@given(st.integers(1, 60), st.integers(1, 60))
def test_a_quotient_of_numbers_is_exact_or_none(whole: int, part: int) -> None:
    assert quotient(whole, part) == (whole // part if whole % part == 0 else None)


def test_nothing_is_divided_by_zero() -> None:
    assert quotient(4, 0) is None
    assert quotient(0, 0) is None


def test_symbolic_sizes_divide_exactly_and_never_by_the_numbers_they_have_in_an_example() -> None:
    assert quotient(8 * BATCH, 8) == BATCH
    assert quotient(8 * BATCH, BATCH) == 8
    assert quotient(BATCH, BATCH) == 1
    assert quotient(BATCH * TIME, TIME) == BATCH
    assert quotient(BATCH, 2) is None
    assert quotient(BATCH, TIME) is None
    assert quotient(4, BATCH) is None


def test_dynamic_sizes_count_with_the_values_given_for_them() -> None:
    term = Product((Frozen(BATCH, "input"), A))
    assert size_of(term) == 4 * BATCH
    assert count(term, {1: 3}, {BATCH: 5}) == 15
    with pytest.raises(TypeError):
        count(term, {1: 3})


def test_heads_inside_a_fused_projection_are_scattered_and_leading_factors_are_a_prefix() -> None:
    heads, width = Atom(1, 4), Atom(2, 2)
    fused = Product((Frozen(3, "qkv"), heads, width))
    assert indices(fused, {1: 1}).tolist() == [0, 1, 8, 9, 16, 17]
    assert not is_prefix(fused, {1: 1})
    assert is_prefix(Product((heads, width)), {1: 1})
    assert is_prefix(Product((heads, width)), {1: 1, 2: 1})
    assert not is_prefix(Product((heads, width)), {1: 2, 2: 1})
