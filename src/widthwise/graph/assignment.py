"""Write out assignments to a part of a tensor: `y[:, :2] = z` is traced as an operator that has no derivative."""

import torch
from torch import fx

__all__ = ["write_out_assignments"]


def write_out_assignments(graph: fx.Graph) -> None:
    """Replace every `aten.copy` of a graph by what it copies, in the dtype and the shape it gets; in place.

    What leaves the graph stays: a buffer's new value is told from another's by its node.
    """
    for node in graph.nodes:
        target, source = node.args[:2] if node.target is torch.ops.aten.copy.default else (None, None)
        if not isinstance(source, fx.Node) or any(user.op == "output" for user in node.users):
            continue
        wanted, given = node.meta["val"], source.meta["val"]
        with graph.inserting_before(node):
            if given.dtype != wanted.dtype:
                source = graph.call_function(torch.ops.aten.to.dtype, (source, wanted.dtype))
                source.meta = {**node.meta, "val": given.to(wanted.dtype)}
            if given.shape != wanted.shape:
                source = graph.call_function(torch.ops.aten.expand_as.default, (source, target))
                source.meta = dict(node.meta)
        node.replace_all_uses_with(source)
        graph.erase_node(node)
