"""Node permutation: an operator must not care in which order the units of a group stand.

Every atom's units are shuffled in an operator's inputs; its output must be the same shuffle of what it gave before.
Finds operators along an axis (roll, cumsum, convolution) that keep all shapes. An operator that mixes units fails; one
that folds them away passes.
"""

from typing import Any

import torch
from torch import fx

from widthwise.graph.carried import MARK
from widthwise.slicing.checks.values import FullRun, NodeFailure, agree, cut_value, is_random

__all__ = ["check_order"]


def check_order(full: FullRun, generator: torch.Generator) -> list[NodeFailure]:
    """Return the operators whose output depends on the order of units."""
    shuffles: dict[int, torch.Tensor] = {}
    failures: list[NodeFailure] = []
    for node in full.operators():
        atoms = full.atoms(node)
        for key in sorted(atoms.keys() - shuffles.keys()):
            shuffles[key] = torch.randperm(atoms[key], generator=generator)
        # A carried state is read in its own order.
        if atoms and MARK not in node.meta and not is_random(node) and not _keeps_order(full, node, shuffles):
            reason = "depends on the order of units it should only carry"
            failures.append(NodeFailure(check="order", node=node.name, reason=reason))
    return failures


def _keeps_order(full: FullRun, node: fx.Node, shuffles: dict[int, torch.Tensor]) -> bool:
    args, kwargs = fx.map_arg((node.args, node.kwargs), lambda source: full.cut(source, shuffles))
    target: Any = node.target
    with torch.no_grad():
        result = target(*args, **kwargs)
    before, after = full.outputs(node, full.values[node]), full.outputs(node, result)
    return all(
        agree(cut_value(one, axes, shuffles), other) for (one, axes), (other, _) in zip(before, after, strict=True)
    )
