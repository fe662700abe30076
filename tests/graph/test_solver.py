import math
import random

import pytest
import sympy
from hypothesis import given
from hypothesis import strategies as st

from tests.graph.terms import factorings, kept_counts, shape_of_knowledge
from widthwise.graph import (
    Frozen,
    Product,
    Solver,
    Sum,
    Term,
    atoms_of,
    indices,
    join_segments,
    multiply_factors,
    size_of,
)

BATCH = sympy.Symbol("batch", integer=True, positive=True)


@st.composite
def axes(draw: st.DrawFn, solver: Solver, size: int, depth: int = 2) -> Term:
    """An axis of a size, with new atoms of the solver; some of its parts are frozen."""
    kind = draw(st.sampled_from(["atom", "atom", "product", "sum", "frozen"] if depth else ["atom", "atom", "frozen"]))
    if kind == "frozen":
        return Frozen(size, "drawn frozen")
    if kind == "product":
        factors = draw(factorings(size)) if size > 1 else (1,)
        return multiply_factors(tuple(draw(axes(solver, factor, depth - 1)) for factor in factors))
    if kind == "sum" and size > 1:
        first = draw(st.integers(1, size - 1))
        return join_segments(tuple(draw(axes(solver, part, depth - 1)) for part in (first, size - first)))
    return solver.fresh(size)


def positions(solver: Solver, term: Term, kept: dict[int, int]) -> list[int]:
    return indices(solver.resolve(term), kept).tolist()


def free_atoms(solver: Solver, *every: Term) -> Term:
    """All atoms that are still free, side by side: something to draw kept counts of."""
    return Sum(tuple({atom: None for term in every for atom in atoms_of(solver.resolve(term))}))


@given(st.data(), st.integers(1, 24))
def test_unified_axes_keep_the_same_positions_at_every_width(data: st.DataObject, size: int) -> None:
    solver = Solver()
    one, other = data.draw(axes(solver, size)), data.draw(axes(solver, size))
    solver.unify(one, other, "here")
    kept = data.draw(kept_counts(free_atoms(solver, one, other)))
    assert positions(solver, one, kept) == positions(solver, other, kept)


@given(st.data(), st.integers(1, 24))
def test_what_is_once_equal_stays_equal_and_what_is_once_frozen_stays_frozen(data: st.DataObject, size: int) -> None:
    solver = Solver()
    every = [data.draw(axes(solver, size)) for _ in range(4)]
    solver.unify(every[0], every[1], "first")
    frozen = [isinstance(solver.resolve(term), Frozen) for term in every]
    solver.unify(every[2], every[3], "second")
    solver.unify(every[data.draw(st.integers(0, 1))], every[data.draw(st.integers(2, 3))], "third")
    kept = data.draw(kept_counts(free_atoms(solver, *every)))
    assert positions(solver, every[0], kept) == positions(solver, every[1], kept)
    assert positions(solver, every[0], kept) == positions(solver, every[3], kept)
    assert all(isinstance(solver.resolve(term), Frozen) for term, before in zip(every, frozen, strict=True) if before)


@given(st.data(), st.integers(1, 24))
def test_unification_is_symmetric(data: st.DataObject, size: int) -> None:
    left, right = Solver(), Solver()
    one, other = data.draw(axes(left, size)), data.draw(axes(left, size))
    for _ in range(left._num_atoms):
        right.fresh(2)
    left.unify(one, other, "here")
    right.unify(other, one, "here")
    assert shape_of_knowledge(left.resolve, [one, other]) == shape_of_knowledge(right.resolve, [one, other])


@given(st.data(), st.integers(1, 24))
def test_unifying_again_teaches_nothing(data: st.DataObject, size: int) -> None:
    solver = Solver()
    one, other = data.draw(axes(solver, size)), data.draw(axes(solver, size))
    solver.unify(one, other, "here")
    before = solver.num_bindings
    solver.unify(one, other, "here")
    solver.unify(other, one, "here")
    assert solver.num_bindings == before


@given(st.data(), st.sampled_from([8, 12, 24, 36]), st.integers(2, 5), st.randoms(use_true_random=False))
def test_foldings_of_one_axis_may_be_learnt_in_any_order(
    data: st.DataObject, size: int, number: int, shuffle: random.Random
) -> None:
    foldings = [data.draw(factorings(size)) for _ in range(number)]
    order = list(range(number))
    shuffle.shuffle(order)
    known = []
    for each in (range(number), order):
        solver = Solver()
        axis = solver.fresh(size)
        terms = [multiply_factors(tuple(solver.fresh(factor) for factor in factors)) for factors in foldings]
        for i in each:
            solver.unify(axis, terms[i], "here")
        known.append(shape_of_knowledge(solver.resolve, [axis, *terms]))
    assert known[0] == known[1]


@given(st.data(), st.integers(3, 12), st.integers(2, 5), st.randoms(use_true_random=False))
def test_cuts_of_one_axis_may_be_learnt_in_any_order(
    data: st.DataObject, size: int, number: int, shuffle: random.Random
) -> None:
    cuts = [data.draw(st.integers(1, size - 1)) for _ in range(number)]
    order = list(range(number))
    shuffle.shuffle(order)
    known = []
    for each in (range(number), order):
        solver = Solver()
        axis = solver.fresh(size)
        terms = [Sum((solver.fresh(cut), solver.fresh(size - cut))) for cut in cuts]
        for i in each:
            solver.unify(axis, terms[i], "here")
        known.append(shape_of_knowledge(solver.resolve, [axis, *terms]))
    assert known[0] == known[1]


@given(st.data(), st.integers(1, 24))
def test_resolving_keeps_sizes_and_is_done_once(data: st.DataObject, size: int) -> None:
    solver = Solver()
    one, other = data.draw(axes(solver, size)), data.draw(axes(solver, size))
    solver.unify(one, other, "here")
    resolved = solver.resolve(one)
    assert size_of(resolved) == size
    assert solver.resolve(resolved) == resolved


@given(st.data(), st.sampled_from([6, 8, 12, 24]))
def test_splitting_gives_factors_of_the_sizes_asked_for_that_make_up_the_axis(data: st.DataObject, size: int) -> None:
    solver = Solver()
    axis, sizes = data.draw(axes(solver, size)), data.draw(factorings(size))
    factors = solver.split(axis, sizes, "does not divide")
    assert tuple(map(size_of, factors)) == sizes
    kept = data.draw(kept_counts(free_atoms(solver, axis)))
    assert positions(solver, axis, kept) == positions(solver, Product(factors), kept)


@given(st.data(), st.integers(2, 24))
def test_cutting_gives_segments_of_the_sizes_asked_for_that_make_up_the_axis(data: st.DataObject, size: int) -> None:
    solver = Solver()
    axis, first = data.draw(axes(solver, size)), data.draw(st.integers(0, size))
    segments = solver.cut(axis, (first, size - first), "cuts across")
    assert tuple(map(size_of, segments)) == (first, size - first)
    kept = data.draw(kept_counts(free_atoms(solver, axis)))
    assert positions(solver, axis, kept) == positions(solver, Sum(segments), kept)


@pytest.mark.parametrize("sizes", [(2, 3), (4, 4), (5,), (3, 2, 2)])
def test_an_axis_that_is_not_used_up_or_too_short_is_frozen(sizes: tuple[int, ...]) -> None:
    solver = Solver()
    axis = solver.fresh(8)
    assert solver.split(axis, sizes, "does not divide") == tuple(Frozen(size, "does not divide") for size in sizes)
    assert solver.resolve(axis) == Frozen(8, "does not divide")


def test_axes_of_unequal_sizes_are_frozen_and_say_so() -> None:
    solver = Solver()
    one, other = solver.fresh(4), solver.fresh(6)
    solver.unify(one, other, "aten.add")
    assert solver.resolve(one) == Frozen(4, "axes of sizes 4 and 6 meet at aten.add")
    assert solver.resolve(other) == Frozen(6, "axes of sizes 4 and 6 meet at aten.add")


def test_a_frozen_axis_freezes_what_it_meets_for_its_own_reason() -> None:
    for swap in (False, True):
        solver = Solver()
        axis = Product((solver.fresh(2), solver.fresh(3)))
        pair = (Frozen(6, "input of the model"), axis)
        solver.unify(*(pair[::-1] if swap else pair), "aten.add")
        assert solver.resolve(axis) == Frozen(6, "input of the model")


def test_the_first_reason_stays() -> None:
    solver = Solver()
    axis = solver.fresh(4)
    solver.freeze(axis, "first")
    solver.freeze(axis, "second")
    assert solver.resolve(axis) == Frozen(4, "first")


def test_of_two_atoms_the_older_one_stays() -> None:
    for swap in (False, True):
        solver = Solver()
        old, new = solver.fresh(4), solver.fresh(4)
        solver.unify(*((new, old) if swap else (old, new)), "here")
        assert solver.resolve(new) == old


def test_foldings_that_cannot_be_aligned_are_frozen_only_up_to_where_they_meet_again() -> None:
    solver = Solver()
    left = [solver.fresh(size) for size in (5, 2, 3, 4)]
    right = [solver.fresh(size) for size in (5, 3, 2, 4)]
    solver.unify(Product(tuple(left)), Product(tuple(right)), "aten.add")
    assert solver.resolve(right[0]) == left[0]
    reason = "two foldings of one axis cannot be aligned at aten.add"
    assert [solver.resolve(term) for term in (*left[1:3], *right[1:3])] == [
        Frozen(size, reason) for size in (2, 3, 3, 2)
    ]
    assert solver.resolve(right[3]) == left[3]


def test_a_factor_is_split_where_the_other_side_has_finer_ones() -> None:
    solver = Solver()
    axis, fine = solver.fresh(12), [solver.fresh(size) for size in (2, 3, 2)]
    solver.unify(axis, Product((fine[0], solver.fresh(6))), "here")
    solver.unify(axis, Product(tuple(fine)), "here")
    assert solver.resolve(axis) == Product(tuple(fine))


def test_copies_of_a_block_meet_a_concatenation_by_tying_its_segments() -> None:
    """A fused projection is read as 3 x heads x width here and as three segments there."""
    for swap in (False, True):
        solver = Solver()
        block = (solver.fresh(2), solver.fresh(4))
        product = Product((Frozen(3, "qkv"), *block))
        total = Sum(tuple(solver.fresh(8) for _ in range(3)))
        solver.unify(*((product, total) if swap else (total, product)), "here")
        assert [solver.resolve(part) for part in total.parts] == [Product(block)] * 3


def test_a_free_number_of_blocks_is_frozen_where_they_are_concatenated() -> None:
    solver = Solver()
    heads, width = solver.fresh(4), solver.fresh(3)
    segments = solver.cut(Product((heads, width)), (6, 6), "aten.chunk")
    assert solver.resolve(heads) == Product((Frozen(2, "an axis of 2 equal blocks is cut between them: aten.chunk"),
                                             solver.resolve(segments[0]).factors[0]))  # fmt: skip
    assert segments[0] == segments[1]
    assert size_of(segments[0]) == 6


def test_a_cut_inside_a_block_freezes_the_axis() -> None:
    solver = Solver()
    axis = Product((solver.fresh(4), solver.fresh(3)))
    solver.cut(axis, (5, 7), "aten.slice cuts across units")
    reason = "an axis of 12 equal blocks is cut between them: aten.slice cuts across units"
    assert solver.resolve(axis) == Frozen(12, reason)


@pytest.mark.parametrize("number", [2, 3])
def test_equal_stretches_side_by_side_are_read_as_rows_and_are_alike_from_then_on(number: int) -> None:
    """A channel shuffle of two branches."""
    solver = Solver()
    parts = [solver.fresh(6) for _ in range(number)]
    rows, row = solver.split(Sum(tuple(parts)), (number, 6), "aten.view")
    assert rows == Frozen(number, f"{number} segments that are read as rows")
    assert row == parts[0]
    assert {solver.resolve(part) for part in parts} == {row}


def test_a_stretch_that_is_read_as_several_rows_is_cut_where_they_end() -> None:
    solver = Solver()
    long, short = solver.fresh(6), solver.fresh(3)
    _, row = solver.split(Sum((long, short)), (3, 3), "aten.view")
    assert solver.resolve(long) == Sum((row, row))
    assert solver.resolve(short) == row


def test_what_is_noted_is_told_by_what_it_became_and_by_its_word() -> None:
    solver = Solver()
    axis, other = solver.fresh(6), solver.fresh(4)
    solver.note(axis, "heads")
    solver.note(other, "heads")
    solver.note(other, "query")
    outer, inner = solver.split(axis, (2, 3), "here")
    assert solver.noted("heads") == {outer, inner, other}
    solver.freeze(other, "frozen")
    assert solver.noted("heads") == {outer, inner}
    assert solver.noted("query") == solver.noted("value") == set()


def test_single_units_that_are_cut_off_leave_no_choice() -> None:
    solver = Solver()
    assert solver.cut(solver.fresh(3), (1, 2), "here")[0] == Frozen(1, "size 1, which leaves no choice")


@pytest.mark.parametrize(
    ("size", "reason"), [(1, "size 1, which leaves no choice"), (0, "size 0, which leaves no choice")]
)
def test_an_axis_without_choice_is_no_atom(size: int, reason: str) -> None:
    assert Solver().fresh(size) == Frozen(size, reason)


def test_an_axis_of_dynamic_size_is_no_atom() -> None:
    assert Solver().fresh(BATCH) == Frozen(BATCH, "dynamic size")


def test_the_same_key_gives_the_same_axis() -> None:
    solver = Solver()
    first = solver.fresh(4, key=("node", 0))
    assert solver.fresh(4, key=("node", 0)) == first
    assert solver.fresh(4, key=("node", 1)) != first
    assert solver.fresh(4) != solver.fresh(4)


def test_dynamic_factors_are_split_off_exactly() -> None:
    solver = Solver()
    heads = solver.fresh(8)
    folded = multiply_factors((Frozen(BATCH, "input"), heads))
    batch, outer, inner = solver.split(folded, (BATCH, 2, 4), "here")
    assert batch == Frozen(BATCH, "input")
    assert (outer, inner) == solver.resolve(heads).factors
    assert solver.split(folded, (BATCH * 2, 4), "here") == (Product((batch, outer)), inner)


def test_a_dynamic_segment_is_kept_whole() -> None:
    solver = Solver()
    token, time = solver.fresh(3), Frozen(BATCH, "input")
    assert solver.cut(Sum((token, time)), (3, BATCH), "here") == (token, time)
    solver.cut(Sum((token, time)), (2 + BATCH, 1), "aten.slice")
    assert solver.resolve(token) == Frozen(3, "aten.slice")


def test_what_is_read_is_told_by_what_it_became() -> None:
    solver = Solver()
    axis, other = solver.fresh(6), solver.fresh(4)
    solver.read(axis)
    solver.read(other)
    outer, inner = solver.split(axis, (2, 3), "here")
    solver.freeze(other, "frozen")
    assert solver.read_atoms == {outer, inner}


def test_chains_of_any_length_are_resolved() -> None:
    solver = Solver()
    every = [solver.fresh(4) for _ in range(5000)]
    for one, other in zip(every[1:], every[:-1], strict=True):
        solver.unify(other, one, "here")
    for one, other in zip(every[-2::-1], every[:0:-1], strict=True):
        solver.unify(one, other, "here")
    assert {solver.resolve(term) for term in every} == {every[0]}


def test_long_folded_axes_are_cut_at_once() -> None:
    solver = Solver()
    axis = Product((solver.fresh(512), Frozen(49, "image")))
    segments = solver.cut(axis, (math.prod((256, 49)), math.prod((256, 49))), "aten.chunk")
    assert segments[0] == segments[1] == Product((segments[0].factors[0], Frozen(49, "image")))
