"""Tell by trial whether a network treats one sample alone as its trace does.

torch.export traces a batch of two or more, and does not say which branches `if x.shape[0] == 1` took for it.
"""

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from widthwise._shared import TraceError
from widthwise.graph import Example, silence
from widthwise.slicing.context import plain_context
from widthwise.slicing.running.program import Program

__all__ = ["SingleSample"]

_TOLERANCE = 1e-3


class SingleSample:
    """Knows what a network does with one sample; finds out when first asked.

    Args:
        net: The network.
        program: It, traced in evaluation mode.
        state: Gives its state, in the program's order.
        example: What a call of it looks like.
        batch_axes: The batch axis of each input leaf, or None.
    """

    def __init__(
        self,
        net: nn.Module,
        program: Program,
        state: Callable[[], Sequence[Tensor]],
        example: Example,
        batch_axes: Sequence[int | None],
    ) -> None:
        self._given = net, program, state, example, batch_axes
        self._is_traced: bool | None = None

    @property
    def is_traced(self) -> bool:
        """Whether the traced network gives for one sample what the network gives, as far as it runs on one."""
        if self._is_traced is None:
            self._is_traced = self._try()
        return self._is_traced

    def check(self) -> None:
        """Do nothing if one sample alone may be given.

        Raises:
            TraceError: The network does something else for it than what was traced.
        """
        if not self.is_traced:
            raise TraceError(
                "the network was traced with two samples or more, but it does something else for one sample alone; "
                "give two samples at once, or write it without a branch on x.shape[0]"
            )

    def _try(self) -> bool:
        net, program, state, example, axes = self._given
        if any(torch.Tag.nondeterministic_seeded in getattr(node.target, "tags", ()) for node in program.graph.nodes):
            return True
        leaves, spec = pytree.tree_flatten((example.args, example.kwargs))
        first = [leaf if axis is None else leaf.narrow(axis, 0, 1) for leaf, axis in zip(leaves, axes, strict=True)]
        args, kwargs = pytree.tree_unflatten(first, spec)
        try:
            with plain_context(), torch.no_grad(), silence():
                expected = pytree.tree_leaves(copy.deepcopy(net).eval()(*args, **kwargs))
        except Exception:  # noqa: BLE001  (whatever a network raises for one sample, it does not compute anything else)
            return True
        with plain_context(), torch.no_grad():
            _, got = program.run(program.sizes({}), [each.clone() for each in state()], first)
        return all(_agree(one, other) for one, other in zip(got, expected, strict=False))


def _agree(one: Any, other: Any) -> bool:
    """Whether two outputs hold the same numbers; axes of size 1 may be gone."""
    if not isinstance(one, Tensor) or not isinstance(other, Tensor):
        return True
    if one.numel() != other.numel():
        return False
    if one.is_meta or other.is_meta:
        # Without numbers the shapes have to do.
        return True
    one, other = one.flatten().double(), other.flatten().double()
    scale = max(1.0, float(other.nan_to_num().abs().max())) if len(other) else 1.0
    return torch.allclose(one, other, rtol=0, atol=scale * _TOLERANCE, equal_nan=True)
