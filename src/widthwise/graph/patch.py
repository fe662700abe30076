"""A number written to a stretch of a tensor (`mask[2:4, :3] = 1`), as a value: a patch, put back where it belongs.

The chain of slices and selections that leads to the stretch is walked back to the tensor they were taken from, each
step with the operator that puts a part in its place.
"""

from collections.abc import Callable, Iterator, Set
from typing import Any

import torch
from torch import fx

__all__ = ["FILLS", "is_patch", "put_back"]

Aliases = Callable[[fx.Node], bool]

# They write one number; what writes tensors would have to spread and to convert them first.
FILLS = (
    torch.ops.aten.fill_.Scalar,
    torch.ops.aten.fill_.Tensor,
    torch.ops.aten.zero_.default,
)
_PARTS: dict[Any, Any] = {
    torch.ops.aten.slice.Tensor: torch.ops.aten.slice_scatter.default,
    torch.ops.aten.select.int: torch.ops.aten.select_scatter.default,
}


def is_patch(node: fx.Node, done: Set[fx.Node], aliases: Aliases) -> bool:
    """Return whether a node writes a number to a stretch of a tensor of which nobody holds another view.

    Args:
        node: An operator that writes in place.
        done: The nodes before it.
        aliases: Whether what a node yields may lie in the memory of what it is given.
    """
    if node.target not in FILLS:
        return False
    *views, base = _walk(node.args[0])
    if not views or base.op != "call_function" or aliases(base):
        return False
    own = {node, *views}
    others = [user for each in (*views, base) for user in each.users if user not in own]
    return all(user in done for view in views for user in view.users if user not in own) and all(
        _is_spent(user, done, aliases) for user in others if user in done and aliases(user)
    )


def put_back(node: fx.Node) -> tuple[fx.Node, list[fx.Node]]:
    """Insert what puts a patch back, after it.

    Args:
        node: The patch, already an operator that yields a value.

    Returns:
        The tensor that it was cut out of, and the inserted nodes, of which the last one is its new value.
    """
    *views, base = _walk(node.args[0])
    nodes: list[fx.Node] = []
    for view in views:
        value = nodes[-1] if nodes else node
        source: Any = view.args[0]
        with node.graph.inserting_after(value):
            arguments = (source, value, *view.args[1:])
            put = node.graph.call_function(_PARTS[view.target], arguments, dict(view.kwargs))
        # In memory of its own, by which views are told.
        put.meta = {**node.meta, "val": source.meta["val"].clone()}
        nodes.append(put)
    return base, nodes


def _walk(node: Any) -> Iterator[Any]:
    """Yield a view, what it is a view of, and so on, down to what is none."""
    while isinstance(node, fx.Node) and node.target in _PARTS:
        yield node
        node = node.args[0]
    yield node


def _is_spent(view: fx.Node, done: Set[fx.Node], aliases: Aliases) -> bool:
    """Whether nothing reads a view any more."""
    return all(user in done and (not aliases(user) or _is_spent(user, done, aliases)) for user in view.users)
