"""Shape certificate: at unequal counts, every node's shape is what its terms say.

Equal fractions would hide a missing tie, and a width of 1 broadcasts over anything, so each atom is also cut to 1 alone by the caller.
"""

from typing import Any

import torch
from torch import fx

from widthwise.slicing.checks.values import FullRun, Kept, NodeFailure, cut_value

__all__ = ["check_shapes"]


def check_shapes(full: FullRun, kept: Kept) -> list[NodeFailure]:
    """Run the rewritten graph at kept sets and return the nodes whose shapes differ from their terms."""
    program = full.program
    state = [cut_value(tensor, axes, kept) for tensor, axes in zip(full.state, program.axes, strict=True)]
    certificate = _Certificate(full, kept)
    try:
        with torch.no_grad():
            certificate.run(program.sizes(kept), *state, *full.leaves)
    except Exception as error:  # noqa: BLE001  (whatever an operator raises at wrong sizes is the finding)
        text = str(error).splitlines()[0] if str(error) else type(error).__name__
        certificate.failures.append(NodeFailure(check="shapes", node=certificate.current, reason=f"cannot run: {text}"))
    return certificate.failures


class _Certificate(fx.Interpreter):
    def __init__(self, full: FullRun, kept: Kept) -> None:
        super().__init__(fx.GraphModule(torch.nn.Module(), full.program.graph))
        self.failures: list[NodeFailure] = []
        self.current = ""
        self._full, self._kept = full, kept
        rewritten = {new.name: old for old, new in full.program.origins.items()}
        self._traced = rewritten

    def run_node(self, n: fx.Node) -> Any:
        self.current = n.name
        value = super().run_node(n)
        old = self._traced.get(n.name)
        if old is not None and old in self._full.values and self._full.tensor_axes(old) is not None:
            expected = self._full.cut(old, self._kept).shape
            if value.shape != expected:
                reason = f"has shape {tuple(value.shape)} where its axes say {tuple(expected)}"
                self.failures.append(NodeFailure(check="shapes", node=n.name, reason=reason))
        return value
