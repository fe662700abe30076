"""Graphs inside a graph: branches, loops and scans as operators that hold their bodies.

torch.export keeps the bodies of `torch.cond`, `while_loop`, `scan` and `map` as modules beside the graph. Here each
becomes the target of one node, so that a trace stays one graph of tensors, and a body is seen where it is called.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import fx
from torch._ops import HigherOrderOperator

from widthwise.graph.absolute import count_from_front, name_squeezed_axes
from widthwise.graph.assignment import write_out_assignments

__all__ = ["Body", "Nested", "find_passages", "hold_bodies", "nested_nodes"]

Body = Callable[..., Any]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Nested:
    """An operator that calls bodies of its own.

    Attributes:
        operator: The operator as torch.export has it.
        bodies: What it calls: two branches, a condition and a body of a loop, or the one body of a scan.
        num_carried: How many operands a round hands to the next one.
        num_sliced: How many operands are taken apart along axis 0, one position a round.
        num_shared: How many operands stand before all others, and go to every body first.
    """

    operator: Any
    bodies: tuple[Any, ...]
    num_carried: int = 0
    num_sliced: int = 0
    num_shared: int = 0

    @property
    def __name__(self) -> str:
        """The name of the operator, which code made from a graph shows."""
        return self.operator.name()

    def __str__(self) -> str:
        """Return the operator as users know it."""
        return f"torch.{self.operator.name().removesuffix('_impl')}"

    @property
    def tags(self) -> list[Any]:
        """The tag of random operators, where a body has some."""
        nodes = [node for body in self.bodies for node in body.graph.nodes]
        drawn = torch.Tag.nondeterministic_seeded
        return [drawn] if any(drawn in getattr(node.target, "tags", ()) for node in nodes) else []

    def __call__(self, *operands: Any) -> Any:
        """Run the bodies as the operator would."""
        shared = operands[: self.num_shared]
        return self.run([partial(body, *shared) for body in self.bodies], operands[self.num_shared :])

    def run(self, bodies: Sequence[Body], operands: Sequence[Any]) -> tuple[Any, ...]:
        """Run other bodies in the place of its own."""
        if self.__name__ == "cond":
            return tuple(bodies[0 if operands[0] else 1](*operands[1:]))
        carried, rest = tuple(operands[: self.num_carried]), operands[self.num_carried :]
        if self.__name__ == "while_loop":
            while bodies[0](*carried, *rest):
                carried = tuple(bodies[1](*carried, *rest))
            return carried
        sliced, rest = rest[: self.num_sliced], rest[self.num_sliced :]
        rows: list[tuple[Any, ...]] = []
        for position in zip(*sliced, strict=True):
            outputs = tuple(bodies[0](*carried, *position, *rest))
            carried = outputs[: self.num_carried]
            rows.append(outputs[self.num_carried :])
        return (*carried, *(torch.stack(column) for column in zip(*rows, strict=True)))

    def entered(self, operands: Sequence[Any]) -> Sequence[Any]:
        """Return the operands that the placeholders of each body stand for, in the first round of a loop."""
        return operands[1:] if self.__name__ == "cond" else operands

    def pack(self, bodies: Sequence[Any], operands: Sequence[Any]) -> tuple[Any, ...]:
        """Return the arguments that the operator itself takes, the shared operands left out."""
        first, second = self.num_carried, self.num_carried + self.num_sliced
        if self.__name__ == "cond":
            return (operands[0], *bodies, tuple(operands[1:]))
        if self.__name__ == "while_loop":
            return (*bodies, tuple(operands[:first]), tuple(operands[first:]))
        if self.__name__ == "scan":
            return (*bodies, list(operands[:first]), list(operands[first:second]), tuple(operands[second:]))
        return (*bodies, list(operands[:second]), list(operands[second:]))


def hold_bodies(module: fx.GraphModule) -> None:
    """Turn every operator with bodies that is known here into one node without modules beside it; in place."""
    graph = module.graph
    for node in graph.nodes:
        held = _read(node)
        if held is None:
            continue
        names, operands, numbers = held
        bodies = tuple(getattr(module, name.target) for name in names)
        for body in bodies:
            hold_bodies(body)
            body.graph.eliminate_dead_code(lambda inner: inner.op in ("placeholder", "output"))
            write_out_assignments(body.graph)
            name_squeezed_axes(body.graph)
            count_from_front(body.graph)
            body.recompile()
        carried, sliced = numbers
        node.target = Nested(operator=node.target, bodies=bodies, num_carried=carried, num_sliced=sliced)
        node.args, node.kwargs = operands, {}
    for node in graph.find_nodes(op="get_attr"):
        if not node.users:
            graph.erase_node(node)


def nested_nodes(graph: fx.Graph) -> Iterator[fx.Node]:
    """Yield the nodes of a graph and, before each operator with bodies, those of the bodies."""
    for node in graph.nodes:
        if isinstance(node.target, Nested):
            for body in node.target.bodies:
                yield from nested_nodes(body.graph)
        yield node


def find_passages(graph: fx.Graph) -> dict[fx.Node, list[Any]]:
    """Return what goes into bodies and comes out of them, by the nodes that take it there: each with all it may be."""
    found: dict[fx.Node, list[Any]] = {}
    for node in nested_nodes(graph):
        if not isinstance(nested := node.target, Nested):
            continue
        operands = nested.entered(node.args)
        # The first body of a loop gives but its condition.
        bodies = nested.bodies if nested.__name__ == "cond" else nested.bodies[-1:]
        leaves = [body.graph.output_node().args[0] for body in bodies]
        for body in nested.bodies:
            for i, placeholder in enumerate(body.graph.find_nodes(op="placeholder")):
                rounds = leaves[0][i : i + 1] if i < nested.num_carried else ()
                found[placeholder] = [operands[i], *rounds]
        for read in node.users:
            index: Any = read.args[1]
            rounds = operands[index : index + 1] if index < nested.num_carried else ()
            found[read] = [*(each[index] for each in leaves), *rounds]
    return found


def _read(node: fx.Node) -> tuple[tuple[Any, ...], tuple[Any, ...], tuple[int, int]] | None:
    """Return the attributes of the bodies, all operands, and how many of these are carried and sliced."""
    if node.op != "call_function" or not isinstance(node.target, HigherOrderOperator):
        return None
    args: tuple[Any, ...] = node.args
    name = node.target.name()
    if name == "cond":
        return args[1:3], (args[0], *args[3]), (0, 0)
    if name == "while_loop":
        return args[:2], (*args[2], *args[3]), (len(args[2]), 0)
    if name == "scan":
        return args[:1], (*args[1], *args[2], *args[3]), (len(args[1]), len(args[2]))
    if name == "map_impl":
        return args[:1], (*args[1], *args[2]), (0, len(args[1]))
    return None
