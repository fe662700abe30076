"""Width inference inside operators with bodies: what goes in meets the operands, what comes out the next round.

Branches agree on their outputs, and what a loop carries is the same thing in every round. Positions along which a scan
steps are told apart. The nodes of a body are visited like all others, so their sizes come from the same table.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import fx

from widthwise.graph.call import Axes, Call, Outcome
from widthwise.graph.nested import Nested

__all__ = ["enter"]

Known = dict[fx.Node, tuple[Axes, ...]]


def enter(
    call: Call, nested: Nested, axes: Known, origins: dict[fx.Node, fx.Node], visit: Callable[[fx.Node], None]
) -> Outcome:
    """Return the axes of what an operator with bodies gives, once all nodes of its bodies have been visited.

    Args:
        call: The call of the operator.
        nested: The operator.
        axes: The axes of every node so far; those of the bodies are added.
        origins: The outer node that a placeholder of a body stands for is added, where it is just that.
        visit: Visits one node.
    """
    inside = _Inside(call, axes, origins, visit)
    operands: Sequence[Any] = call.node.args
    inputs = [inside.axes_of(operand) for operand in operands]
    if nested.__name__ == "cond":
        one, other = (inside.run(body.graph, operands[1:], inputs[1:]) for body in nested.bodies)
        inside.unify(one, other)
        return Outcome(outputs=inside.resolve(one))
    first, second = nested.num_carried, nested.num_carried + nested.num_sliced
    carried, sliced = inputs[:first], inputs[first:second]
    call.freeze([axes[0] for axes in sliced], " steps along this axis")
    given = [*carried, *(axes[1:] for axes in sliced), *inputs[second:]]
    origin = (*(None,) * second, *operands[second:])
    *_, outputs = (inside.run(body.graph, origin, given) for body in nested.bodies)
    inside.unify(carried, outputs[:first])
    stacked = [(sliced[0][0], *axes) for axes in outputs[first:]]
    return Outcome(outputs=inside.resolve([*carried, *stacked]))


class _Inside:
    """The bodies of one call."""

    def __init__(
        self, call: Call, known: Known, origins: dict[fx.Node, fx.Node], visit: Callable[[fx.Node], None]
    ) -> None:
        self._call, self._known, self._origins, self._visit = call, known, origins, visit

    def axes_of(self, operand: Any) -> Axes:
        """Return the axes of an operand; none where it is a number."""
        is_known = isinstance(operand, fx.Node) and bool(self._known.get(operand))
        return self._call.axes(operand) if is_known else ()

    def run(self, graph: fx.Graph, origins: Sequence[Any], given: Sequence[Axes]) -> list[Axes]:
        """Visit every node of a body that is given these axes; returns those of its outputs."""
        for placeholder, origin, axes in zip(graph.find_nodes(op="placeholder"), origins, given, strict=True):
            if isinstance(placeholder.meta.get("val"), torch.Tensor):
                self._known[placeholder] = (axes,)
            if isinstance(origin, fx.Node):
                self._origins[placeholder] = origin
        for node in graph.nodes:
            self._visit(node)
        outputs: Any = graph.output_node().args[0]
        return [self.axes_of(leaf) for leaf in (outputs if isinstance(outputs, list | tuple) else [outputs])]

    def unify(self, every: Sequence[Axes], others: Sequence[Axes]) -> None:
        """Demand that what two bodies, or two rounds, hand on has the same axes."""
        for one, other in zip(every, others, strict=True):
            for left, right in zip(one, other, strict=True):
                self._call.unify(left, right)

    def resolve(self, every: Sequence[Axes]) -> tuple[Axes, ...]:
        """Return axes with everything substituted that is known."""
        return tuple(tuple(self._call.solver.resolve(term) for term in axes) for axes in every)
