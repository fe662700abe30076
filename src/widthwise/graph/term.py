"""Terms: what an axis of a tensor is made of.

An axis is an `Atom` (units nobody has tied to anything yet), `Frozen` (must keep its size, and says why), a `Product`
(nested factors, the leftmost one outermost: heads x head width, channels x height x width) or a `Sum` (segments one
after another: a concatenation). Terms are immutable values; what has been learnt about their atoms lives in
`widthwise.graph.solver.Solver`.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import sympy
import torch

__all__ = [
    "Atom",
    "Frozen",
    "KeptSet",
    "Product",
    "Size",
    "Sum",
    "Term",
    "atoms_of",
    "count",
    "indices",
    "is_prefix",
    "join_segments",
    "multiply_factors",
    "quotient",
    "resize",
    "size_of",
]

Size = int | sympy.Expr
KeptSet = int | torch.Tensor


@dataclass(frozen=True, slots=True)
class Atom:
    """`size` units that live or die one by one; `key` tells one atom from another."""

    key: int
    size: int


@dataclass(frozen=True, slots=True)
class Frozen:
    """An axis that keeps its `size`; `reason` says which operator or place demands it."""

    size: Size
    reason: str


@dataclass(frozen=True, slots=True)
class Product:
    """Nested factors, outermost first: position = first * size(rest) + rest."""

    factors: tuple[Term, ...]


@dataclass(frozen=True, slots=True)
class Sum:
    """Segments side by side, in order."""

    parts: tuple[Term, ...]


Term = Atom | Frozen | Product | Sum


def size_of(term: Term) -> Size:
    """Return the full size of an axis: an int, or a sympy expression where the trace kept it dynamic."""
    if isinstance(term, Atom | Frozen):
        return term.size
    if isinstance(term, Product):
        return math.prod((size_of(factor) for factor in term.factors), start=1)
    return sum(size_of(part) for part in term.parts)


def multiply_factors(factors: tuple[Term, ...]) -> Term:
    """Return the product of factors in its simplest form: flat, without factors of size 1, frozen neighbours as one."""
    flat = [each for factor in factors for each in (factor.factors if isinstance(factor, Product) else (factor,))]
    kept = _merge_frozen([factor for factor in flat if size_of(factor) != 1], operator.mul)
    if not kept:
        return Frozen(1, "size 1")
    return kept[0] if len(kept) == 1 else Product(tuple(kept))


def join_segments(parts: tuple[Term, ...]) -> Term:
    """Return the concatenation of segments in its simplest form: flat, without empty ones, frozen neighbours as one."""
    flat = [each for part in parts for each in (part.parts if isinstance(part, Sum) else (part,))]
    kept = _merge_frozen([part for part in flat if size_of(part) != 0], operator.add)
    if not kept:
        return Frozen(0, "empty")
    return kept[0] if len(kept) == 1 else Sum(tuple(kept))


def quotient(whole: Size, part: Size) -> Size | None:
    """Return whole / part where that is exact, also for symbolic sizes (never by their hints), else None.

    Example:
        >>> quotient(12, 4), quotient(12, 5)
        (3, None)
    """
    if isinstance(whole, int) and isinstance(part, int):
        return whole // part if part and whole % part == 0 else None
    if whole == part:
        return 1
    ratio = sympy.cancel(sympy.sympify(whole) / sympy.sympify(part))
    if sympy.fraction(ratio)[1] != 1:
        return None
    return int(ratio) if ratio.is_Integer else ratio


def atoms_of(term: Term) -> Iterator[Atom]:
    """Yield every atom of a term, left to right, repeated where it stands several times."""
    if isinstance(term, Atom):
        yield term
    elif isinstance(term, Product | Sum):
        for child in term.factors if isinstance(term, Product) else term.parts:
            yield from atoms_of(child)


def count(term: Term, kept: Mapping[int, KeptSet], symbols: Mapping[Any, int] | None = None) -> int:
    """Return how many positions of an axis are kept.

    Args:
        term: The axis.
        kept: The kept set of each atom by its key; full where it has none.
        symbols: The value of each dynamic size that the axis is made of.

    Raises:
        TypeError: The axis has a dynamic size that `symbols` does not tell.
    """
    if isinstance(term, Atom):
        chosen = kept.get(term.key, term.size)
        return chosen if isinstance(chosen, int) else len(chosen)
    if isinstance(term, Frozen):
        return int(term.size if isinstance(term.size, int) else term.size.subs(symbols or {}))
    if isinstance(term, Product):
        return math.prod(count(factor, kept, symbols) for factor in term.factors)
    return sum(count(part, kept, symbols) for part in term.parts)


def indices(term: Term, kept: Mapping[int, KeptSet]) -> torch.Tensor:
    """Return the kept positions of an axis as an int64 tensor of shape (count(term, kept),).

    They are sorted where the kept sets are. Dynamic sizes have no positions: fill them in first.
    """
    if isinstance(term, Atom):
        chosen = kept.get(term.key, term.size)
        return torch.arange(chosen) if isinstance(chosen, int) else chosen
    if isinstance(term, Frozen):
        return torch.arange(int(term.size))
    if isinstance(term, Product):
        positions = torch.zeros(1, dtype=torch.int64)
        for factor in term.factors:
            positions = (positions[:, None] * int(size_of(factor)) + indices(factor, kept)[None, :]).reshape(-1)
        return positions
    offsets = accumulate((int(size_of(part)) for part in term.parts[:-1]), initial=0)
    return torch.cat([indices(part, kept) + offset for part, offset in zip(term.parts, offsets, strict=True)])


def resize(term: Term, sizes: Mapping[int, int]) -> Term:
    """Return a term whose atoms have other sizes, by their keys; others stay.

    Example:
        >>> resize(Product((Atom(0, 8), Frozen(3, "kernel"))), {0: 2})
        Product(factors=(Atom(key=0, size=2), Frozen(size=3, reason='kernel')))
    """
    if isinstance(term, Atom):
        return Atom(term.key, sizes.get(term.key, term.size))
    if isinstance(term, Frozen):
        return term
    if isinstance(term, Product):
        return Product(tuple(resize(factor, sizes) for factor in term.factors))
    return Sum(tuple(resize(part, sizes) for part in term.parts))


def is_prefix(term: Term, kept: Mapping[int, KeptSet]) -> bool:
    """Return whether the kept positions of an axis are its first ones, so that a narrow finds them without a copy.

    Kept sets given as indices count as scattered, whatever they hold.
    """
    if isinstance(term, Frozen):
        return True
    if isinstance(term, Atom):
        return isinstance(kept.get(term.key, term.size), int)
    children = term.factors if isinstance(term, Product) else term.parts
    if not all(is_prefix(child, kept) for child in children):
        return False
    counts = [count(child, kept) for child in children]
    whole = [number == size_of(child) for number, child in zip(counts, children, strict=True)]
    if isinstance(term, Product):
        outer = next((i for i, number in enumerate(counts) if number != 1), len(counts) - 1)
        return all(whole[outer + 1 :])
    first_cut = whole.index(False) if False in whole else len(whole)
    return not any(counts[first_cut + 1 :])


def _merge_frozen(terms: list[Term], join: Callable[[Any, Any], Size]) -> list[Term]:
    """Let frozen axes that stand side by side be one, with the first one's reason."""
    merged: list[Term] = []
    for term in terms:
        last = merged[-1] if merged else None
        if isinstance(last, Frozen) and isinstance(term, Frozen):
            merged[-1] = Frozen(join(last.size, term.size), last.reason)
        else:
            merged.append(term)
    return merged
