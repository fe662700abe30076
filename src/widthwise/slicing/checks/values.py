"""What every node of a network yields at full width, on inputs and a state that hide nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sympy
import torch
from torch import fx
from torch.utils import _pytree as pytree

from widthwise.graph import Axes, Frozen, KeptSet, Product, Sum, Term, atoms_of, count, indices
from widthwise.slicing.program import Program
from widthwise.slicing.runner import Runner

__all__ = ["FullRun", "Kept", "NodeFailure", "agree", "cut_value", "is_random"]

Kept = Mapping[int, KeptSet]


@dataclass(frozen=True, kw_only=True, slots=True)
class NodeFailure:
    """A check that a node of the graph failed."""

    check: str
    node: str
    reason: str

    def __str__(self) -> str:
        """Return one line."""
        return f"{self.check}: {self.node} {self.reason}"


class FullRun:
    """A run of the traced graph at full width that keeps every value.

    Floating inputs are drawn anew and tensors that hold one value only are disturbed: zeros would hide a wrong cut. Everything runs in float64
    unless the graph names a dtype itself.

    Attributes:
        program: The rewritten program.
        state: The state it ran on, in the program's order.
        leaves: The inputs it ran on.
        values: What each traced node yielded.
    """

    def __init__(self, runner: Runner, leaves: Sequence[Any], generator: torch.Generator) -> None:
        self.program: Program = runner.program
        self._inference = runner.program.inference
        dtype = None if _names_dtype(self.program.trace.graph) else torch.float64
        self.state = [_wake(tensor.detach(), generator, dtype) for tensor in runner.state()]
        self.leaves = [_redraw(leaf, generator, dtype) for leaf in leaves]
        self.symbols = self._measure_symbols()
        self.values: dict[fx.Node, Any] = {}
        recorder = _Recorder(self.program.trace.graph, self.values)
        with torch.no_grad():
            recorder.run(*self.state, *self.leaves)

    def axes(self, node: fx.Node, output: int = 0) -> Axes:
        """Return the axes of a node with the dynamic sizes of this run filled in."""
        return tuple(_fill_in(term, self.symbols) for term in self._inference.axes_of(node, output))

    def outputs(self, node: fx.Node, value: Any) -> list[tuple[torch.Tensor, Axes]]:
        """Return the tensors of a node's value, each with its axes."""
        tensors = list(value) if isinstance(value, list | tuple) else [value]
        return [(tensor, self.axes(node, i)) for i, tensor in enumerate(tensors) if isinstance(tensor, torch.Tensor)]

    def operators(self) -> list[fx.Node]:
        """Return the nodes that a rule spoke about, in order."""
        return list(self._inference.outcomes)

    def tensor_axes(self, node: fx.Node) -> Axes | None:
        """Return the axes of a node that yields one tensor, else None."""
        return self.axes(node) if node in self._inference.axes and isinstance(self.values[node], torch.Tensor) else None

    def cut_arguments(self, node: fx.Node, kept: Kept) -> dict[fx.Node, Any]:
        """Return the values of a node's inputs, cut to the kept sets."""
        return {source: self.cut(source, kept) for source in node.all_input_nodes}

    def cut(self, node: fx.Node, kept: Kept) -> Any:
        """Return a node's value cut to the kept sets."""
        value = self.values[node]
        axes = self.tensor_axes(node)
        return value if axes is None else cut_value(value, axes, kept)

    def _measure_symbols(self) -> dict[Any, int]:
        symbols: dict[Any, int] = {}
        for name, leaf in zip(self.program.trace.inputs, self.leaves, strict=True):
            if isinstance(leaf, torch.Tensor):
                for size, given in zip(self.program.trace.placeholder(name).meta["val"].shape, leaf.shape, strict=True):
                    if isinstance(size, torch.SymInt) and isinstance(size.node.expr, sympy.Symbol):
                        symbols[size.node.expr] = given
        return symbols


def cut_value(value: torch.Tensor, axes: Axes, kept: Kept) -> torch.Tensor:
    """Return a tensor gathered along every axis that holds an atom: the plain form of a cut."""
    for axis, term in enumerate(axes):
        if any(atom.key in kept for atom in atoms_of(term)):
            value = value.index_select(axis, indices(term, kept))
    return value


def agree(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Return whether two tensors are equal within rounding relative to the largest entry."""
    if one.shape != other.shape:
        return False
    if not one.is_floating_point() or one.numel() == 0:
        return torch.equal(one, other)
    tolerance = 1e-9 if one.dtype == torch.float64 else 1e-4
    finite = torch.isfinite(one)
    if not torch.equal(finite, torch.isfinite(other)):
        return False
    gap = (one - other)[finite].abs()
    return gap.numel() == 0 or bool(gap.max() <= tolerance * max(1.0, float(one[finite].abs().max())))


def is_random(node: fx.Node) -> bool:
    """Return whether an operator draws random numbers, so that two calls differ."""
    return torch.Tag.nondeterministic_seeded in getattr(node.target, "tags", ())


def _fill_in(term: Term, symbols: Mapping[Any, int]) -> Term:
    if isinstance(term, Frozen):
        return Frozen(count(term, {}, symbols), term.reason)
    if isinstance(term, Product):
        return Product(tuple(_fill_in(factor, symbols) for factor in term.factors))
    if isinstance(term, Sum):
        return Sum(tuple(_fill_in(part, symbols) for part in term.parts))
    return term


def _names_dtype(graph: fx.Graph) -> bool:
    return any(
        isinstance(leaf, torch.dtype) for node in graph.nodes for leaf in pytree.tree_leaves((node.args, node.kwargs))
    )


def _wake(tensor: torch.Tensor, generator: torch.Generator, dtype: torch.dtype | None) -> torch.Tensor:
    if not tensor.is_floating_point():
        return tensor
    tensor = tensor.to(dtype or tensor.dtype).clone()
    if tensor.numel() > 1 and bool((tensor == tensor.flatten()[0]).all()):
        tensor += 0.5 * torch.rand(tensor.shape, generator=generator, dtype=torch.float64).to(tensor)
    return tensor


def _redraw(leaf: Any, generator: torch.Generator, dtype: torch.dtype | None) -> Any:
    if not isinstance(leaf, torch.Tensor) or not leaf.is_floating_point():
        return leaf
    return torch.randn(leaf.shape, generator=generator, dtype=torch.float64).to(
        device=leaf.device, dtype=dtype or leaf.dtype
    )


class _Recorder(fx.Interpreter):
    def __init__(self, graph: fx.Graph, values: dict[fx.Node, Any]) -> None:
        super().__init__(fx.GraphModule(torch.nn.Module(), graph), garbage_collect_values=False)
        self._values = values
        self._originals = dict(zip(self.module.graph.nodes, graph.nodes, strict=True))  # type: ignore[union-attr]

    def run_node(self, n: fx.Node) -> Any:
        value = super().run_node(n)
        self._values[self._originals[n]] = value
        return value
