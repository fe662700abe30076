"""The masked oracle: the full network with dropped units made neutral at every node, against the sliced network.

It runs the traced graph at full size and knows nothing of slicing. After most operators dropped units are set to zero,
which is neutral for everything that carries or sums them. The operators of `counted.py` are told which units are there.
"""

from typing import Any

import torch
from torch import fx

from widthwise.graph import arguments_by_name
from widthwise.slicing.checks.counted import Handler, find_counted
from widthwise.slicing.checks.values import FullRun, Kept, NodeFailure, agree, keep_mask

__all__ = ["check_masked"]


def check_masked(full: FullRun, kept: Kept) -> list[NodeFailure]:
    """Compare the sliced network's outputs at kept sets with those of the masked full network."""
    program = full.program
    oracle = _Masked(full, kept)
    with torch.no_grad():
        _, sliced = program.run(program.sizes(kept), full.cut_state(kept), full.leaves)
        oracle.run(*full.state, *full.leaves)
    reason = "differs between the sliced and the masked full network"
    return [
        NodeFailure(check="masked", node=leaf.name, reason=reason)
        for leaf, value in zip(program.trace.outputs, sliced, strict=True)
        if isinstance(leaf, fx.Node) and isinstance(value, torch.Tensor) and not agree(oracle.values[leaf.name], value)
    ]


class _Masked(fx.Interpreter):
    def __init__(self, full: FullRun, kept: Kept) -> None:
        graph = full.program.trace.graph
        module = fx.GraphModule(torch.nn.Module(), graph)
        super().__init__(module)
        self.values: dict[str, Any] = {}
        self._full, self._kept = full, kept
        self._originals = {new.name: old for new, old in zip(module.graph.nodes, graph.nodes, strict=True)}

    def run_node(self, n: fx.Node) -> Any:
        """Run one node with its dropped units neutral."""
        old = self._originals[n.name]
        handler = find_counted(n.target)
        value = super().run_node(n) if handler is None else self._run_counted(n, handler)
        axes = self._full.tensor_axes(old)
        if axes is not None:
            value = torch.where(keep_mask(value, axes, self._kept), value, torch.zeros_like(value))
        self.values[n.name] = value
        return value

    def _run_counted(self, n: fx.Node, handler: Handler) -> Any:
        named = arguments_by_name(n)
        source = next(iter(named.values()))
        arguments: dict[str, Any] = fx.map_arg(named, lambda node: self.env[node])
        x = self.env[source]
        mask = keep_mask(x, self._full.axes(self._originals[source.name]), self._kept)
        return handler(arguments, x, mask)
