"""Random terms and kept sets, and the plain form of what they mean."""

import itertools
import math
from collections.abc import Callable, Mapping
from typing import Any

from hypothesis import strategies as st

from widthwise.graph import Atom, Frozen, KeptSet, Product, Sum, Term, atoms_of, size_of


@st.composite
def terms(draw: st.DrawFn, *, max_depth: int = 3) -> Term:
    """A term of atoms and frozen axes; every atom stands once."""
    keys = itertools.count(1)

    def build(depth: int) -> Term:
        kind = draw(st.sampled_from(["atom", "frozen", "product", "sum"] if depth else ["atom", "frozen"]))
        if kind == "atom":
            return Atom(next(keys), draw(st.integers(2, 4)))
        if kind == "frozen":
            return Frozen(draw(st.integers(1, 4)), f"reason {next(keys)}")
        children = tuple(build(depth - 1) for _ in range(draw(st.integers(1, 3))))
        return Product(children) if kind == "product" else Sum(children)

    return build(max_depth)


@st.composite
def kept_counts(draw: st.DrawFn, term: Term) -> dict[int, KeptSet]:
    """A prefix of some of a term's atoms."""
    return {atom.key: draw(st.integers(1, atom.size)) for atom in dict.fromkeys(atoms_of(term)) if draw(st.booleans())}


def factorings(size: int) -> st.SearchStrategy[tuple[int, ...]]:
    """Ways to write a size as an ordered product of numbers above 1."""
    return st.sampled_from(_factorings(size))


def positions_by_hand(term: Term, kept: Mapping[int, KeptSet]) -> list[int]:
    """The plain form of `indices`: walk over every position of an axis and ask whether all its units are kept."""
    if isinstance(term, Frozen):
        return list(range(int(term.size)))
    if isinstance(term, Atom):
        chosen = kept.get(term.key, term.size)
        return list(range(chosen)) if isinstance(chosen, int) else chosen.tolist()
    if isinstance(term, Sum):
        starts = itertools.accumulate((int(size_of(part)) for part in term.parts), initial=0)
        return [
            start + place
            for start, part in zip(starts, term.parts, strict=False)
            for place in positions_by_hand(part, kept)
        ]
    sizes = [int(size_of(factor)) for factor in term.factors]
    strides = [math.prod(sizes[i + 1 :]) for i in range(len(sizes))]
    places = itertools.product(*(positions_by_hand(factor, kept) for factor in term.factors))
    return [sum(stride * place for stride, place in zip(strides, each, strict=True)) for each in places]


def shape_of_knowledge(resolve: Callable[[Term], Term], every: list[Term]) -> Any:
    """What is known of several axes, apart from the names of atoms and reasons: equal for two solvers that agree."""
    numbers: dict[int, int] = {}

    def describe(term: Term) -> Any:
        if isinstance(term, Atom):
            return ("atom", numbers.setdefault(term.key, len(numbers)), term.size)
        if isinstance(term, Frozen):
            return ("frozen", term.size)
        children = term.factors if isinstance(term, Product) else term.parts
        described = [describe(child) for child in children]
        merged: list[Any] = []
        for each in described:
            # Whether neighbouring frozen factors are written as one is of no importance.
            if merged and each[0] == merged[-1][0] == "frozen":
                both = (merged[-1][1], each[1])
                merged[-1] = ("frozen", math.prod(both) if isinstance(term, Product) else sum(both))
            else:
                merged.append(each)
        return (type(term).__name__, *merged)

    return [describe(resolve(term)) for term in every]


def _factorings(size: int) -> list[tuple[int, ...]]:
    found: list[tuple[int, ...]] = [(size,)]
    for first in range(2, size):
        if size % first == 0:
            found += [(first, *rest) for rest in _factorings(size // first)]
    return found
