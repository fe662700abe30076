"""The traced network, rewritten once so that it runs at any kept sets.

Every constant that depends on a width (sizes of a view, a split, a norm, the groups of a convolution, a number that the
network works out of a size) becomes a read from a table of sizes, which is filled per call from the kept counts. One
graph then serves every width, on views of the parameters or on copies.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import fx

from widthwise.graph import (
    Axes,
    Counts,
    Formula,
    Inference,
    KeptSet,
    Nested,
    Outcome,
    StateInput,
    Term,
    count,
    replace_arguments,
    size_of,
)
from widthwise.slicing.running.forward import Forward
from widthwise.slicing.running.functions import use_functions
from widthwise.slicing.running.protect import protect
from widthwise.slicing.running.table import SizeTable, has_atoms

__all__ = ["Kept", "Program", "Resized"]

Kept = Mapping[int, KeptSet]


@dataclass(frozen=True, kw_only=True, slots=True)
class Resized:
    """A number that an operator of a module takes as `argument`, at full width and at a kept set."""

    argument: str
    full: int
    kept: int


class Program:
    """A network as one function of its state, a table of sizes and its inputs.

    Args:
        inference: The traced network with the terms of its axes, all that will ever be known about them.
        counts: The numbers that the network works out of sizes of its units.

    Attributes:
        inference: As given.
        counts: As given.
        trace: The trace it was rewritten from.
        state: What it reads of the network, in order.
        axes: The terms of each such tensor.
        origins: The rewritten node of each traced one.
        graph: The rewritten graph: a placeholder for the table, one per state tensor, one per input leaf.
    """

    def __init__(self, inference: Inference, counts: Counts | None = None) -> None:
        self.inference = inference
        self.counts: Counts = counts or {}
        self.trace = inference.trace
        self.state: tuple[StateInput, ...] = inference.trace.state
        self.axes: tuple[Axes, ...] = tuple(
            inference.axes_of(inference.trace.placeholder(entry.placeholder)) for entry in self.state
        )
        self.origins: dict[fx.Node, fx.Node] = {}
        self.graph = fx.Graph()
        self._table = SizeTable(self.graph)
        self._rewrite()

    @cached_property
    def module(self) -> fx.GraphModule:
        """The graph as a module, for interpreters."""
        return fx.GraphModule(torch.nn.Module(), self.graph)

    @cached_property
    def forward(self) -> Forward:
        """The graph as a function."""
        return Forward(self.graph)

    @property
    def size_terms(self) -> tuple[Term | Formula, ...]:
        """What each number of the table of sizes is."""
        return tuple(self._table.terms)

    def sizes(self, kept: Kept) -> tuple[int | float, ...]:
        """Return the table of sizes at these kept sets."""
        return self._table.fill(kept)

    def run(
        self, sizes: Sequence[int | float], state: Sequence[torch.Tensor], inputs: Sequence[Any]
    ) -> tuple[tuple[torch.Tensor, ...], tuple[Any, ...]]:
        """Run the network.

        Args:
            sizes: The table of sizes.
            state: The sliced state tensors, in the order of `self.state`.
            inputs: The input leaves.

        Returns:
            The new values of the mutated buffers (in the order of `self.trace.mutations`), and the output leaves.
        """
        return self.forward(sizes, *state, *inputs)

    def module_sizes(self, kept: Kept) -> dict[str, list[Resized]]:
        """Return the numbers that depend on widths, by the path of the module that calls the operator."""
        found: dict[str, list[Resized]] = {}
        for node, outcome in self.inference.outcomes.items():
            stack = list((node.meta.get("nn_module_stack") or {}).values())
            if not stack:
                continue
            path = stack[-1][0]
            for argument, term in self._resized_terms(outcome):
                full = size_of(term)
                if isinstance(full, int):
                    resized = Resized(argument=argument, full=full, kept=count(term, kept))
                    found.setdefault(path, []).append(resized)
        return found

    def _rewrite(self) -> None:
        copies = self._copy(self.trace.graph, self._table)
        self.origins.update(copies)
        by_name = {old.name: new for old, new in copies.items()}
        buffers = [by_name[name] for name in self.trace.mutations]
        leaves = [self.origins[leaf] if isinstance(leaf, fx.Node) else leaf for leaf in self.trace.outputs]
        self.graph.output((tuple(buffers), tuple(leaves)))
        # Checks that tracing left behind yield nothing; what they hold for is `Trace.batch_range` and `Trace.guards`.
        self.graph.eliminate_dead_code(lambda node: node.op in ("placeholder", "output"))
        self.graph.lint()

    def _copy(self, graph: fx.Graph, table: SizeTable) -> dict[fx.Node, fx.Node]:
        """Copy all nodes but the output to the graph of a table, with sizes read from it."""
        copies: dict[fx.Node, fx.Node] = {}
        for node in graph.nodes:
            if node.op == "output":
                continue
            new = copies[node] = table.graph.node_copy(node, lambda old: copies[old])
            if isinstance(node.target, Nested):
                new.target = self._copy_bodies(node.target, table)
                new.args = (table.sizes, *new.args)
            elif node in self.inference.outcomes:
                self._resize(new, node, self.inference.outcomes[node], table)
            if node in self.counts:
                reads = {name: table.read_number(formula) for name, formula in self.counts[node].items()}
                new.args, new.kwargs = replace_arguments(new.target, new.args, new.kwargs, reads)
        return copies

    def _copy_bodies(self, nested: Nested, outer: SizeTable) -> Nested:
        """Return an operator whose bodies take the table of sizes first."""
        bodies: list[fx.GraphModule] = []
        for body in nested.bodies:
            table = SizeTable(fx.Graph(), outer)
            copies = self._copy(body.graph, table)
            table.graph.output(fx.map_arg(body.graph.output_node().args[0], lambda old, copies=copies: copies[old]))
            bodies.append(fx.GraphModule(torch.nn.Module(), use_functions(protect(table.graph))))
        return replace(nested, bodies=tuple(bodies), num_shared=1)

    def _resize(self, new: fx.Node, old: fx.Node, outcome: Outcome, table: SizeTable) -> None:
        """Replace the arguments of a node that depend on widths."""
        if outcome.written or any(True for _ in self._resized_terms(outcome)):
            self._replace_sizes(new, old, outcome, table)
        if new.target is torch.ops.aten.view.default:
            # A cut parameter need not be contiguous; nothing in a functional graph relies on sharing storage.
            new.target = torch.ops.aten.reshape.default

    def _replace_sizes(self, new: fx.Node, old: fx.Node, outcome: Outcome, table: SizeTable) -> None:
        if outcome.target is not None:
            new.target = outcome.target
        named = {argument.name: value for argument, value in zip(_schema(old), new.args, strict=False)}
        named.update(new.kwargs)
        named.update(outcome.written)
        with table.graph.inserting_before(new):
            for name, size in outcome.sizes.items():
                if size is not None:
                    named[name] = table.read(self._resolve(size), named.get(name))
        positional = [argument for argument in _schema(new) if not argument.kwarg_only]
        last = max(i for i, argument in enumerate(positional) if argument.name in named)
        new.args = tuple(named.get(argument.name, argument.default_value) for argument in positional[: last + 1])
        new.kwargs = {
            argument.name: named[argument.name]
            for argument in _schema(new)
            if argument.kwarg_only and argument.name in named
        }

    def _resized_terms(self, outcome: Outcome) -> Iterator[tuple[str, Term]]:
        """Yield the arguments that depend on widths."""
        for argument, size in outcome.sizes.items():
            resolved = self._resolve(size)
            for term in resolved if isinstance(resolved, tuple) else (resolved,):
                if term is not None and has_atoms(term):
                    yield argument, term

    def _resolve(self, size: Any) -> Any:
        if isinstance(size, tuple):
            return tuple(self._resolve(term) for term in size)
        return None if size is None else self.inference.solver.resolve(size)


def _schema(node: fx.Node) -> Any:
    return getattr(node.target, "_schema").arguments  # noqa: B009  (operators alone reach this line)
