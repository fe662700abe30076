"""The rescale of a law: what reads `kept` of `full` units is multiplied by a factor of the two.

The publication multiplies the kept activations; multiplying the weights that sum over them gives the same numbers, for
the linear layer and the convolution that read them, and can be folded into the weights that are taken home.
"""

import math
from collections.abc import Callable, Mapping, Set

import torch
from torch import Tensor, fx

from widthwise._shared import WidthError
from widthwise.graph import Atom, Frozen, Inference, KeptSet, Product, Sum, Term, arguments_by_name, atoms_of, count

__all__ = ["Factor", "Rescale"]

Kept = Mapping[int, KeptSet]
Factor = Callable[[int, int], float]


class Rescale:
    """Multiplies each weight that sums over units by the factor of those units.

    Args:
        inference: The traced network.
        factor: Of the units of a group, as factor(full, kept).

    Raises:
        WidthError: Units are summed over by something else than a weight, or a weight is read along several axes.
    """

    def __init__(self, inference: Inference, factor: Factor) -> None:
        self._factor = factor
        self._read = _find_read_axes(inference)

    @property
    def targets(self) -> Set[str]:
        """The names of the weights that it multiplies."""
        return self._read.keys()

    def apply(self, target: str, part: Tensor, kept: Kept) -> Tensor:
        """Return the cut of the tensor of that name, multiplied where it sums over units."""
        if target not in self._read:
            return part
        axis, term, carried = self._read[target]

        def weigh(atom: Atom) -> float:
            return 1.0 if atom in carried else self._factor(atom.size, count(atom, kept))

        if not any(isinstance(each, Sum) for each in _walk(term)):
            scale = math.prod(map(weigh, atoms_of(term)))
            return part if scale == 1.0 else part * scale
        along = _factors_along(term, kept, weigh).to(part)
        return part * along.reshape([-1 if i == axis else 1 for i in range(part.dim())])


def _find_read_axes(inference: Inference) -> dict[str, tuple[int, Term, frozenset[Atom]]]:
    """The axis over which each weight sums units, its term, and the groups on it, which are carried and not summed."""
    targets = {entry.placeholder: entry.target for entry in inference.trace.state}
    read: dict[str, tuple[int, Term, frozenset[Atom]]] = {}
    readers: dict[fx.Node, set[fx.Node]] = {}
    _refuse_other_sums(inference)
    for node, outcome in inference.outcomes.items():
        # The weight of a transposed convolution has its groups on the axis that it sums over.
        groups = outcome.sizes.get("groups")
        carried = frozenset(atoms_of(inference.solver.resolve(groups)) if groups is not None else ())
        for argument, axis in outcome.contracted.items():
            source = arguments_by_name(node)[argument]
            term = inference.axes_of(source)[axis]
            if next(atoms_of(term), None) is None:
                continue
            if node.graph is not inference.trace.graph:
                raise WidthError(
                    f"a rescaled law needs units to be summed over by weights, but {node.name} sums over them inside a "
                    "branch or a loop; use rescale='none'"
                )
            if source.name not in targets:
                raise WidthError(
                    f"a rescaled law needs units to be summed over by weights, but {node.name} sums over them with "
                    f"{source.name}, which the network computes; use rescale='none'"
                )
            found = (axis, term, carried)
            if read.setdefault(targets[source.name], found) == found:
                readers.setdefault(source, set()).add(node)
    for source, nodes in readers.items():
        others = [node.name for node in source.users if node not in nodes]
        if others:
            raise WidthError(
                f"a rescaled law needs {targets[source.name]} to be used in one way only, but {others[0]} uses it in "
                "another; use rescale='none'"
            )
    return read


def _refuse_other_sums(inference: Inference) -> None:
    for node, terms in inference.reads.items():
        sums = any(True for term in terms for _ in atoms_of(inference.solver.resolve(term)))
        if sums and not inference.outcomes[node].contracted:
            raise WidthError(
                f"a rescaled law needs units to be summed over by one weight, but {node.name} sums over them in "
                "another way; use rescale='none'"
            )


def _walk(term: Term) -> list[Term]:
    children = term.factors if isinstance(term, Product) else term.parts if isinstance(term, Sum) else ()
    return [term, *(each for child in children for each in _walk(child))]


def _factors_along(term: Term, kept: Kept, weigh: Callable[[Atom], float]) -> Tensor:
    """The factor at each kept position of an axis; segments have one each."""
    if isinstance(term, Sum):
        return torch.cat([_factors_along(part, kept, weigh) for part in term.parts])
    if isinstance(term, Product):
        along = torch.ones(1, dtype=torch.float64)
        for each in term.factors:
            along = (along[:, None] * _factors_along(each, kept, weigh)).flatten()
        return along
    value = 1.0 if isinstance(term, Frozen) else weigh(term)
    return torch.full((count(term, kept),), value, dtype=torch.float64)
