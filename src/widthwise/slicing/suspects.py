"""Numbers of a traced network that may have come from the size of a group: where a second export is worth its price."""

import math
from collections.abc import Iterable
from typing import Any

from torch import fx, nn

from widthwise.graph import Atom, Inference
from widthwise.groups import Group, find_sized_constants
from widthwise.slicing.written import find_written

__all__ = ["has_suspects"]


def has_suspects(net: nn.Module, inference: Inference, groups: Iterable[Group]) -> bool:
    """Return whether some number in arithmetic looks like the size of a group, and nothing else explains it.

    A number is explained where it follows as well from a group that moves by name only, as the scale of attention
    scores does from the width of queries: it stays as it is; or where the module at work holds it as an attribute, or
    its line makes it of attributes, as in `self.width**-0.5`.
    """
    groups = list(groups)
    followers = {Atom(group.key, group.size): group.name for group in groups if group.follows}
    others = {Atom(group.key, group.size): group.name for group in groups if not group.follows}
    explained = {(each.node, each.argument) for each in find_sized_constants(inference, others, with_common=True)}
    nodes = {node.name: node for node in inference.outcomes}
    return any(
        (each.node, each.argument) not in explained and not _is_attribute(net, nodes[each.node], each.value)
        for each in find_sized_constants(inference, followers, with_common=True)
    )


def _is_attribute(net: nn.Module, node: fx.Node, value: float) -> bool:
    """Whether the module that runs a node, or one around it, holds a float of that value, or its line makes one."""
    stack: list[Any] = list((node.meta.get("nn_module_stack") or {}).values())
    modules = dict(net.named_modules(remove_duplicate=False))
    around = [modules[path] for path, _ in stack if path in modules]
    held = [each for module in around for each in vars(module).values() if isinstance(each, float)]
    written = find_written(node, around[-1]) if around else ()
    return any(math.isclose(abs(each), abs(value), rel_tol=1e-9) for each in (*held, *written))
