"""Shapes of fake tensors, with dynamic sizes as sympy expressions."""

from typing import Any

import sympy
import torch
from torch import fx

__all__ = ["expression", "fake_tensors", "memory_of", "shape_of", "traced_size"]


def fake_tensors(node: fx.Node) -> list[Any]:
    """Return the fake values that a node yields, one per returned tensor."""
    value = node.meta.get("val")
    return list(value) if isinstance(value, list | tuple) else [value]


def memory_of(node: fx.Node) -> set[int]:
    """Return what tells apart the pieces of memory in which the values of a node lie, as far as they have some."""
    tensors = [each for each in fake_tensors(node) if isinstance(each, torch.Tensor)]
    held = [each for each in tensors if torch._C._has_storage(each)]  # pyright: ignore[reportPrivateUsage]
    return {torch.multiprocessing.reductions.StorageWeakRef(each.untyped_storage()).cdata for each in held}


def shape_of(value: Any) -> tuple[int | sympy.Expr, ...]:
    """Return the shape of a fake tensor with ints and sympy expressions; () for anything else."""
    if not isinstance(value, torch.Tensor):
        return ()
    return tuple(expression(size) for size in value.shape)


def traced_size(size: Any) -> int | sympy.Expr:
    """Return a size that stands in a graph as a number or as the node that works it out."""
    return expression(size.meta["val"] if isinstance(size, fx.Node) else size)


def expression(size: Any) -> int | sympy.Expr:
    """Return a size as an int, or as the expression that the trace has for it.

    Example:
        >>> expression(3)
        3
    """
    if not isinstance(size, torch.SymInt):
        return int(size)
    found = size.node.expr
    return int(found) if found.is_Integer else found
