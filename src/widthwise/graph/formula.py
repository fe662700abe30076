"""Numbers that follow from sizes: `1 / sqrt(n)` for n units, worked out anew from the units that are kept."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import sympy

from widthwise.graph.term import KeptSet, Term, count, size_of

__all__ = ["Formula"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Formula:
    """A number that a network works out of sizes of its units.

    Attributes:
        expression: The number as an expression of symbols.
        terms: The axis whose size each symbol is; none of dynamic size.
        full: The number at full width, as it was traced.
    """

    expression: sympy.Expr
    terms: tuple[tuple[sympy.Symbol, Term], ...]
    full: int | float

    def at(self, kept: Mapping[int, KeptSet]) -> int | float:
        """Return the number at kept sets: an int where it was traced as one and is whole, infinite where it has none.

        Args:
            kept: The kept set of each atom by its key; full where it has none.
        """
        return _evaluate(self, tuple([count(term, kept) for _, term in self.terms]))


@lru_cache(maxsize=4096)
def _evaluate(formula: Formula, counts: tuple[int, ...]) -> int | float:
    # To the last bit the number that the full network was traced with.
    if counts == tuple(size_of(term) for _, term in formula.terms):
        return formula.full
    symbols = [symbol for symbol, _ in formula.terms]
    try:
        value = formula.expression.subs(list(zip(symbols, counts, strict=True)))
        return int(value) if isinstance(formula.full, int) and value.is_Integer else float(value)
    except (ZeroDivisionError, TypeError):
        # 1 / (n - 1) of a single unit; sympy writes that as a complex infinity, which is no float.
        return math.inf
