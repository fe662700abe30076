"""Where a network is, on which device and in which dtype, and its example inputs there."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from widthwise.graph import Example

__all__ = ["Placement", "find_placement", "move_example"]

Placement = tuple[torch.device, torch.dtype] | None


def find_placement(net: nn.Module) -> Placement:
    """Return device and dtype of the first parameter, which tell whether a network was moved."""
    first = next(net.parameters(), None)
    return None if first is None else (first.device, first.dtype)


def move_example(example: Example, before: Placement, after: Placement) -> Example:
    """Return the example on the device and in the dtype that a network was moved to."""
    assert before is not None
    assert after is not None

    def move(leaf: Any) -> Any:
        if not isinstance(leaf, Tensor):
            return leaf
        return leaf.to(after[0], after[1] if leaf.dtype == before[1] else leaf.dtype)

    args, kwargs = pytree.tree_map(move, (example.args, example.kwargs))
    return Example(args=args, kwargs=kwargs)
