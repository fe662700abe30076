"""The table of sizes: every number in a graph that depends on a width is read from it."""

from __future__ import annotations

import operator
from typing import Any

from torch import fx

from widthwise.graph import Term, atoms_of, size_of

__all__ = ["SizeTable", "has_atoms"]


class SizeTable:
    """Terms whose kept counts a graph reads, each read made once.

    Args:
        graph: The graph, whose first placeholder is to be `sizes`.
        shared: The table of the graph around it, whose terms are its own too.

    Attributes:
        terms: The terms in the order of the table.
        sizes: The placeholder that takes the table.
        graph: As given.
    """

    def __init__(self, graph: fx.Graph, shared: SizeTable | None = None) -> None:
        self.terms: list[Term] = [] if shared is None else shared.terms
        self.sizes = graph.placeholder("sizes")
        self._reads: dict[Term, fx.Node] = {}
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

    def _read_entry(self, term: Term | None, traced: Any) -> Any:
        if term is None:
            return traced
        if not has_atoms(term):
            return size_of(term) if isinstance(size_of(term), int) else traced
        if not isinstance(size_of(term), int):
            # Units folded with an axis of dynamic size: the one size that a reshape may work out for itself.
            return -1
        if term not in self._reads:
            first = next(node for node in self.graph.nodes if node.op != "placeholder")
            if term not in self.terms:
                self.terms.append(term)
            with self.graph.inserting_before(first):
                self._reads[term] = self.graph.call_function(operator.getitem, (self.sizes, self.terms.index(term)))
        return self._reads[term]


def has_atoms(term: Term) -> bool:
    """Return whether the size of an axis depends on a width."""
    return next(atoms_of(term), None) is not None
