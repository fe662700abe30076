"""Shape certificate: at unequal counts, every node's shape is what its terms say.

Equal fractions would hide a missing tie, and a width of 1 broadcasts over anything, so the caller draws unequal counts
and also cuts each atom to 1 while all that it meets are whole.
"""

from typing import Any

import torch
from torch import fx

from widthwise.slicing.checks.values import FullRun, Kept, NodeFailure, refuse_to_judge

__all__ = ["check_shapes"]


def check_shapes(full: FullRun, kept: Kept) -> list[NodeFailure]:
    """Run the rewritten graph at kept sets and return the nodes whose shapes differ from their terms."""
    certificate = _Certificate(full, kept)
    try:
        with torch.no_grad():
            certificate.run(full.program.sizes(kept), *full.cut_state(kept), *full.leaves)
    except Exception as error:  # noqa: BLE001  (whatever an operator raises at wrong sizes is the finding)
        refuse_to_judge(error)
        certificate.fail(f"cannot run: {(str(error) or type(error).__name__).splitlines()[0]}")
    return certificate.failures


class _Certificate(fx.Interpreter):
    def __init__(self, full: FullRun, kept: Kept) -> None:
        super().__init__(full.program.module)
        self.failures: list[NodeFailure] = []
        self._current = ""
        self._full, self._kept, self._untouched = full, kept, full.untouched(kept)

    def fail(self, reason: str) -> None:
        """Note that the node that runs just now failed."""
        self.failures.append(NodeFailure(check="shapes", node=self._current, reason=reason))

    def run_node(self, n: fx.Node) -> Any:
        """Run one node and compare its shape with that of its cut full value."""
        self._current = n.name
        old = self._full.rewritten.get(n.name)
        value = self._full.values[old] if old in self._untouched else super().run_node(n)
        expected = None if old is None else self._full.cut_shape(old, self._kept)
        if expected is not None and tuple(value.shape) != expected:
            self.fail(f"has shape {tuple(value.shape)} where its axes say {expected}")
        return value
