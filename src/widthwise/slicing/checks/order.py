"""Node permutation: an operator must not care in which order the units of a group stand.

Every atom's units are shuffled in an operator's inputs; its output must be the same shuffle of what it gave before. Finds operators along an
axis (roll, cumsum, convolution) that keep all shapes. An operator that mixes units fails; one that folds them away passes.
"""

import torch
from torch import fx

from widthwise.graph import atoms_of
from widthwise.slicing.checks.values import FullRun, NodeFailure, agree, cut_value, is_random

__all__ = ["check_order"]


def check_order(full: FullRun, generator: torch.Generator) -> list[NodeFailure]:
    """Return the operators whose output depends on the order of units."""
    failures: list[NodeFailure] = []
    shuffles: dict[int, torch.Tensor] = {}
    for node in full.operators():
        for source in [node, *node.all_input_nodes]:
            for term in full.tensor_axes(source) or ():
                for atom in atoms_of(term):
                    shuffles.setdefault(atom.key, torch.randperm(atom.size, generator=generator))
        if shuffles and not is_random(node) and not _keeps_order(full, node, shuffles):
            failures.append(
                NodeFailure(check="order", node=node.name, reason="depends on the order of units it should only carry")
            )
    return failures


def _keeps_order(full: FullRun, node: fx.Node, shuffles: dict[int, torch.Tensor]) -> bool:
    shuffled = full.cut_arguments(node, shuffles)
    args, kwargs = fx.node.map_arg((node.args, node.kwargs), lambda source: shuffled[source])
    with torch.no_grad():
        result = node.target(*args, **kwargs)  # type: ignore[operator]
    before = full.outputs(node, full.values[node])
    after = full.outputs(node, result)
    return all(
        agree(cut_value(one, axes, shuffles), other) for (one, axes), (other, _) in zip(before, after, strict=True)
    )
