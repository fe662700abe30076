"""Values of many parameters side by side in one tensor, cut at once.

A run at a width in evaluation mode waits for each operator, and a network may have hundreds of parameters.
"""

from collections.abc import Mapping, Sequence
from typing import final

from torch import Tensor

from widthwise.graph import KeptSet, Sum, Term, count
from widthwise.slicing.running.cut import MOST_HELD, Layout

__all__ = ["Packing"]

Kept = Mapping[int, KeptSet]


@final
class Packing:
    """Knows what the positions of a tensor of one axis are made of.

    Args:
        terms: Of each of the parameters, in order.
    """

    def __init__(self, terms: Sequence[Term]) -> None:
        self._terms = tuple(terms)
        self._layout = Layout([(Sum(self._terms),)])
        self._sizes: dict[tuple[tuple[int, KeptSet], ...], list[int]] = {}

    def cut(self, values: Tensor, kept: Kept) -> Sequence[Tensor]:
        """Return the kept values of each parameter; plain form: `cut(part, (term,), kept)` of each part.

        Args:
            values: Of all positions.
            kept: The kept set of each atom.
        """
        (part,) = self._layout.cut([values], kept)
        return part.split(self._find_sizes(kept))

    def _find_sizes(self, kept: Kept) -> list[int]:
        key = tuple(kept.items())
        if not all(isinstance(units, int) for _, units in key):
            return [count(term, kept) for term in self._terms]
        if key not in self._sizes:
            while len(self._sizes) >= MOST_HELD:
                self._sizes.pop(next(iter(self._sizes)), None)
            self._sizes[key] = [count(term, kept) for term in self._terms]
        return self._sizes[key]
