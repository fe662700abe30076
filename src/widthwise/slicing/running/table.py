"""The table of sizes: every number in a graph that depends on a width is read from it."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Any

from torch import fx

from widthwise.graph import Formula, KeptSet, Term, atoms_of, count, size_of

__all__ = ["SizeTable", "has_atoms"]


class SizeTable:
    """Terms whose kept counts a graph reads, and formulas of such counts, each read made once.

    Args:
        graph: The graph, whose first placeholder is to be `sizes`.
        shared: The table of the graph around it, whose terms are its own too.

    Attributes:
        terms: The terms and formulas in the order of the table.
        sizes: The placeholder that takes the table.
        graph: As given.
    """

    def __init__(self, graph: fx.Graph, shared: SizeTable | None = None) -> None:
        self.terms: list[Term | Formula] = [] if shared is None else shared.terms
        self.sizes = graph.placeholder("sizes")
        self._reads: dict[Term | Formula, fx.Node] = {}
        self.graph = graph

    def read(self, size: Any, traced: Any) -> Any:
        """Return what to write for an argument: reads for terms that hold atoms, plain numbers otherwise.

        Args:
            size: A term, or a tuple of terms with None for what stays as traced.
            traced: The traced argument.
        """
        if isinstance(size, tuple):
            entries = traced if isinstance(traced, list | tuple) and len(traced) == len(size) else (None,) * len(size)
            return [self._read_entry(term, entry) for term, entry in zip(size, entries, strict=True)]
        return self._read_entry(size, traced)

    def read_number(self, formula: Formula) -> fx.Node:
        """Return the read to write for a number that follows from widths."""
        return self._read_once(formula)

    def fill(self, kept: Mapping[int, KeptSet]) -> tuple[int | float, ...]:
        """Return the table at kept sets, given by the key of each atom."""
        return tuple([each.at(kept) if isinstance(each, Formula) else count(each, kept) for each in self.terms])

    def _read_entry(self, term: Term | None, traced: Any) -> Any:
        if term is None:
            return traced
        if not has_atoms(term):
            return size_of(term) if isinstance(size_of(term), int) else traced
        if not isinstance(size_of(term), int):
            # Units folded with an axis of dynamic size: the one size that a reshape may work out for itself.
            return -1
        return self._read_once(term)

    def _read_once(self, entry: Term | Formula) -> fx.Node:
        if entry not in self._reads:
            first = next(node for node in self.graph.nodes if node.op != "placeholder")
            if entry not in self.terms:
                self.terms.append(entry)
            with self.graph.inserting_before(first):
                self._reads[entry] = self.graph.call_function(operator.getitem, (self.sizes, self.terms.index(entry)))
        return self._reads[entry]


def has_atoms(term: Term) -> bool:
    """Return whether the size of an axis depends on a width."""
    return next(atoms_of(term), None) is not None
