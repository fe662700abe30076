"""Cut and count where the units of a group are inputs of a program, no numbers yet."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from widthwise.graph import Atom, Axes, Frozen, Product, Term, size_of
from widthwise.slicing.running.table import has_atoms

__all__ = ["count_symbolically", "cut_symbolically"]

Kept = Mapping[int, Any]


def cut_symbolically(tensor: Tensor, axes: Axes, kept: Kept) -> Tensor:
    """Plain form: `widthwise.slicing.running.cut.cut`, of units that are no numbers yet."""
    for axis, term in enumerate(axes):
        tensor = _cut_axis(tensor, axis, term, kept)
    return tensor


def _cut_axis(tensor: Tensor, axis: int, term: Term, kept: Kept) -> Tensor:
    if not has_atoms(term) or isinstance(term, Frozen):
        return tensor
    if isinstance(term, Atom):
        return tensor.narrow(axis, 0, kept[term.key]) if term.key in kept else tensor
    if isinstance(term, Product):
        sizes = [int(size_of(factor)) for factor in term.factors]
        tensor = tensor.unflatten(axis, sizes)
        for i, factor in enumerate(term.factors):
            tensor = _cut_axis(tensor, axis + i, factor, kept)
        return tensor.flatten(axis, axis + len(sizes) - 1)
    parts = tensor.split([int(size_of(part)) for part in term.parts], axis)
    return torch.cat([_cut_axis(part, axis, own, kept) for part, own in zip(parts, term.parts, strict=True)], axis)


def count_symbolically(term: Term, kept: Kept) -> Any:
    """Plain form: `widthwise.graph.count`, of units that are no numbers yet."""
    if isinstance(term, Atom):
        return kept.get(term.key, term.size)
    if isinstance(term, Frozen):
        return int(term.size)
    total: Any = 1 if isinstance(term, Product) else 0
    for child in term.factors if isinstance(term, Product) else term.parts:
        total = (
            total * count_symbolically(child, kept)
            if isinstance(term, Product)
            else total + count_symbolically(child, kept)
        )
    return total
