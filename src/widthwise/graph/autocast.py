"""Operators on which the network itself switches autocast: a caller's autocast must not reach them.

What runs under `torch.autocast(..., enabled=False)` keeps the dtypes of its inputs, and what runs under enabled=True is
traced with its casts written out. Both are marked, and run without autocast at any width. Marks are kept where
torch.export keeps what a user annotates, so that they outlast a second trace.
"""

from typing import Any

import torch
from torch import fx

__all__ = ["AUTOCAST_REGION", "find_protected_devices", "mark_regions"]

AUTOCAST_REGION = torch.ops.higher_order.wrap_with_autocast
_KEY = "widthwise.protected"


def mark_regions(module: fx.GraphModule, devices: tuple[str, ...] = ()) -> None:
    """Mark the operators of every region, those of its bodies too; in place.

    Args:
        module: The graph.
        devices: The devices for which regions around it have told already.
    """
    for node in module.graph.nodes:
        if node.op == "call_function" and devices:
            node.meta["custom"] = {**node.meta.get("custom", {}), _KEY: devices}
        if node.op != "get_attr" or not isinstance(body := getattr(module, node.target, None), fx.GraphModule):
            continue
        users: list[Any] = [user for user in node.users if user.target is AUTOCAST_REGION]
        mark_regions(body, tuple(dict.fromkeys((*devices, *(user.args[0] for user in users)))))
        if users:
            # Code that is made from a graph forgets the marks of its nodes.
            body.forward = fx.Interpreter(body).run


def find_protected_devices(node: fx.Node) -> tuple[str, ...]:
    """Return the types of devices on whose autocast the network has decided at a node; none where it has not."""
    return node.meta.get("custom", {}).get(_KEY, ())
