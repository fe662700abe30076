"""One call of an operator in the traced graph, as a rule sees it: arguments by their schema names, axes as terms."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import fx

from widthwise.graph.overload import arguments_by_name, overload_name
from widthwise.graph.shape import fake_tensors, shape_of
from widthwise.graph.solver import Solver
from widthwise.graph.term import Frozen, Size, Term, size_of

__all__ = ["Axes", "Call", "Outcome", "place_of"]

Axes = tuple[Term, ...]
_TORCH = Path(torch.__file__).parent


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What a rule says about a call.

    Attributes:
        outputs: The axes of each tensor that the operator returns.
        sizes: Arguments that depend on kept counts, by name: a term is the number of positions it keeps, a tuple mixes
            terms with None for what stays as traced.
        contracted: The axis over which each of these tensor arguments is summed, by the argument's name: where a
            network reads units.
        target: The operator to call instead, where the traced one cannot express unequal sizes.
        written: Arguments to write out as they are at full width, where the operator would else work them out of a
            size.
    """

    outputs: tuple[Axes, ...]
    sizes: Mapping[str, Any] = field(default_factory=dict[str, Any])
    contracted: Mapping[str, int] = field(default_factory=dict[str, int])
    target: Any = None
    written: Mapping[str, Any] = field(default_factory=dict[str, Any])


class Call:
    """One operator call.

    Attributes:
        node: The node of the graph.
        solver: Where rules unify, freeze and mark axes as read.
        arguments: Every argument by its name in the operator's schema, defaults filled in.
        reads: The axes over which the operator sums or reduces, as the rule has told so far.
    """

    def __init__(self, node: fx.Node, solver: Solver, axes: Mapping[fx.Node, tuple[Axes, ...]]) -> None:
        self.node = node
        self.solver = solver
        self.arguments = arguments_by_name(node)
        self.reads: list[Term] = []
        self._axes = axes

    @property
    def name(self) -> str:
        """The operator with its place in the user's source, for reasons: "aten.conv2d (net.py:12)"."""
        target = self.node.target
        operator = overload_name(target).rpartition(".")[0].replace("::", ".") or str(target)
        place = place_of(self.node)
        return f"{operator} ({place})" if place else operator

    def axes(self, argument: str | fx.Node) -> Axes:
        """Return the axes of a tensor argument."""
        node = self.arguments[argument] if isinstance(argument, str) else argument
        return tuple([self.solver.resolve(term) for term in self._axes[node][0]])

    def has(self, argument: str) -> bool:
        """Return whether an optional tensor argument was given."""
        return isinstance(self.arguments.get(argument), fx.Node)

    def tensors(self) -> list[fx.Node]:
        """Return every tensor argument, those inside lists too."""
        return [node for node in self.node.all_input_nodes if self._axes.get(node)]

    def dim(self, argument: str = "dim", *, of: str = "self") -> int:
        """Return an axis argument counted from the front."""
        rank = len(self.axes(of))
        value = self.arguments[argument]
        return value % rank if rank else 0

    def dims(self, argument: str = "dim", *, of: str = "self") -> tuple[int, ...]:
        """Return a list-of-axes argument counted from the front; None and an empty list mean all axes."""
        rank = len(self.axes(of))
        value = self.arguments.get(argument)
        if value is None or (isinstance(value, Sequence) and not value):
            return tuple(range(rank))
        return tuple(axis % rank for axis in ([value] if isinstance(value, int) else value)) if rank else ()

    def output_shapes(self) -> tuple[tuple[Size, ...], ...]:
        """Return the traced shape of each tensor that the operator returns."""
        return tuple(shape_of(value) for value in fake_tensors(self.node))

    def fresh_output(self) -> Axes:
        """Return axes of the first output that nothing is known about; the same ones in every pass over the graph."""
        shape = self.output_shapes()[0]
        return tuple(self.solver.fresh(size, key=(self.node, axis)) for axis, size in enumerate(shape))

    def frozen_output(self, reason: str | None = None) -> Outcome:
        """Return outputs that are frozen throughout. Only right after everything they came from was frozen too."""
        text = reason or self.name
        return Outcome(outputs=tuple(tuple(Frozen(size, text) for size in shape) for shape in self.output_shapes()))

    def freeze_everything(self, reason: str) -> Outcome:
        """Freeze all axes of all tensor arguments and return frozen outputs."""
        for node in self.node.all_input_nodes:
            for axes in self._axes.get(node, ()):
                for term in axes:
                    self.solver.freeze(term, reason)
        return self.frozen_output(reason)

    def freeze(self, terms: Sequence[Term], why: str = "") -> None:
        """Freeze axes because of this operator."""
        for term in terms:
            self.solver.freeze(term, f"{self.name}{why}")

    def note(self, term: Term, word: str) -> None:
        """Note what the units of an axis are to this operator."""
        self.solver.note(term, word)

    def unify(self, one: Term, other: Term) -> None:
        """Demand that two axes keep the same positions."""
        self.solver.unify(one, other, self.name)

    def contract(self, one: Term, other: Term) -> None:
        """Demand agreement of two axes that the operator sums over."""
        self.unify(one, other)
        self.read(one)

    def read(self, term: Term) -> None:
        """Note that the operator sums or reduces over this axis."""
        self.reads.append(term)
        self.solver.read(term)

    def broadcast(self, every: Sequence[Axes]) -> Axes:
        """Align axes from the right as NumPy does and return those of the result; axes of size 1 follow the others."""
        rank = max((len(axes) for axes in every), default=0)
        result: list[Term] = []
        for position in range(rank):
            aligned = [axes[position - rank + len(axes)] for axes in every if position - rank + len(axes) >= 0]
            wide = [term for term in aligned if size_of(term) != 1]
            for other in wide[1:]:
                self.unify(wide[0], other)
            result.append(wide[0] if wide else aligned[0])
        return tuple(self.solver.resolve(term) for term in result)


def place_of(node: fx.Node) -> str:
    """Return "file.py:12", where the user's code calls an operator; "" where that is not known."""
    return _source_line(node.meta.get("stack_trace"))


@cache
def _source_line(stack_trace: str | None) -> str:
    """Return "file.py:12" of the innermost frame that is not torch's own."""
    frames = re.findall(r'File "([^"]+)", line (\d+)', stack_trace or "")
    own = [(Path(path), line) for path, line in frames if path[0] != "<" and _TORCH not in Path(path).parents]
    return f"{own[-1][0].name}:{own[-1][1]}" if own else ""
