"""What every node of a network yields at full width, on inputs and a state that hide nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sympy
import torch
from torch import fx
from torch.utils import _pytree as pytree

from widthwise.graph import (
    Atom,
    Axes,
    Frozen,
    KeptSet,
    Nested,
    Product,
    Sum,
    Term,
    atoms_of,
    count,
    indices,
    overload_name,
    shape_of,
)
from widthwise.slicing.running.program import Program
from widthwise.slicing.running.runner import Runner

__all__ = [
    "FullRun",
    "Kept",
    "NodeFailure",
    "agree",
    "cut_value",
    "is_random",
    "keep_mask",
    "refuse_to_judge",
    "zero_dropped",
]

Kept = Mapping[int, KeptSet]
_TOLERANCES = {torch.float64: 1e-9, torch.float32: 1e-4}
# What all values of a network may take in float64; one that needs more runs in the dtype it has.
_FLOAT64_BYTES = 4 * 2**30


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

    Floating inputs are drawn anew and tensors that hold one value only are disturbed: zeros would hide a wrong cut. It
    runs in float64 where the graph allows it and its values take no more than 4 GiB of memory.

    Args:
        runner: The network in evaluation mode.
        leaves: Inputs of one call.
        generator: Draws inputs and disturbances.

    Attributes:
        program: The rewritten program.
        state: The state it ran on, in the program's order.
        leaves: The inputs it ran on.
        values: What each traced node yielded.
        traced: The traced graph as a module, for interpreters.
        originals: The node of the trace of each node of that module, by name.
        rewritten: The traced node of each rewritten one, by name.
    """

    def __init__(self, runner: Runner, leaves: Sequence[Any], generator: torch.Generator) -> None:
        self.program: Program = runner.program
        self._inference = runner.program.inference
        self.rewritten = {new.name: old for old, new in self.program.origins.items()}
        self.values: dict[fx.Node, Any] = {}
        graph = self.program.trace.graph
        self.traced = fx.GraphModule(torch.nn.Module(), graph)
        self.originals = {new.name: old for new, old in zip(self.traced.graph.nodes, graph.nodes, strict=True)}
        self._axes: dict[tuple[fx.Node, int], Axes] = {}
        self._atoms: dict[fx.Node, dict[int, int]] = {}
        for dtype in (None,) if _names_dtype(graph) else (torch.float64, None):
            self.state = [_wake(tensor.detach(), generator, dtype) for tensor in runner.state()]
            self.leaves = [_redraw(leaf, generator, dtype) for leaf in leaves]
            try:
                with torch.no_grad():
                    _Recorder(self, _FLOAT64_BYTES if dtype else None).run(*self.state, *self.leaves)
                break
            except (RuntimeError, _TooLargeError):
                # A tensor that the graph makes in float32 may not be multiplied with one of float64.
                if dtype is None:
                    raise
                self.values.clear()
        self._symbols = self._measure_symbols()

    def axes(self, node: fx.Node, output: int = 0) -> Axes:
        """Return the axes of a node with the dynamic sizes of this run filled in."""
        found = self._axes.get((node, output))
        if found is None:
            found = tuple(_fill_in(term, self._symbols) for term in self._inference.axes_of(node, output))
            self._axes[node, output] = found
        return found

    def outputs(self, node: fx.Node, value: Any) -> list[tuple[torch.Tensor, Axes]]:
        """Return the tensors of a node's value, each with its axes."""
        tensors = list(value) if isinstance(value, list | tuple) else [value]
        return [(tensor, self.axes(node, i)) for i, tensor in enumerate(tensors) if isinstance(tensor, torch.Tensor)]

    def operators(self) -> list[fx.Node]:
        """Return the nodes that a rule spoke about, in order; an operator with bodies is one node."""
        return [node for node in self._inference.outcomes if node.graph is self.program.trace.graph]

    def tensor_axes(self, node: fx.Node, value: Any = None) -> Axes | None:
        """Return the axes of a node that yields one tensor, else None; inside a body, `value` is what it yields."""
        value = self.values[node] if value is None else value
        return self.axes(node) if node in self._inference.axes and isinstance(value, torch.Tensor) else None

    def atoms(self, node: fx.Node) -> dict[int, int]:
        """Return the size of every atom in the axes of a node, of what it reads and in its numbers, by its key."""
        if node not in self._atoms:
            self._atoms[node] = {
                atom.key: atom.size
                for each in [node, *node.all_input_nodes]
                for output in range(len(self._inference.axes.get(each, ())))
                for term in self.axes(each, output)
                for atom in atoms_of(term)
            } | {
                atom.key: atom.size
                for formula in self.program.counts.get(node, {}).values()
                for _, term in formula.terms
                for atom in atoms_of(term)
            }
        return self._atoms[node]

    def numbers(self, node: fx.Node, kept: Kept) -> dict[str, int | float]:
        """Return the arguments of a node that follow from widths by their names, at the kept sets."""
        return {name: formula.at(kept) for name, formula in self.program.counts.get(node, {}).items()}

    def untouched(self, kept: Kept) -> set[fx.Node]:
        """Return the operators that a cut does not reach: at the kept sets they yield what they yielded here."""
        found: set[fx.Node] = set()
        for node in self.program.trace.graph.nodes:
            is_cut = self.atoms(node).keys() & kept.keys()
            if not is_cut and all(source.op == "placeholder" or source in found for source in node.all_input_nodes):
                found.add(node)
        return {node for node in found if node.op == "call_function"}

    def cut(self, node: fx.Node, kept: Kept) -> Any:
        """Return a node's value cut to the kept sets, laid out in memory as an operator yields it."""
        value = self.values[node]
        axes = self.tensor_axes(node)
        return value if axes is None or not any(_is_cut(term, kept) for term in axes) else _pack(value, axes, kept)

    def cut_shape(self, node: fx.Node, kept: Kept) -> tuple[int, ...] | None:
        """Return the shape of a node's value cut to the kept sets; None where it yields no single tensor."""
        axes = self.tensor_axes(node)
        if axes is None:
            return None
        shape = self.values[node].shape
        return tuple(
            [count(term, kept) if _is_cut(term, kept) else size for term, size in zip(axes, shape, strict=True)]
        )

    def write_over(self, node: fx.Node, state: torch.Tensor, written: torch.Tensor, kept: Kept) -> torch.Tensor:
        """Return what a node makes of a carried state and what it writes over it, of which the kept units count."""
        source: Any = node.args[1]
        return torch.where(keep_mask(written, self.axes(source), kept), written, state)

    def cut_state(self, kept: Kept) -> list[torch.Tensor]:
        """Return the state cut to the kept sets, in the program's order."""
        return [_pack(tensor, axes, kept) for tensor, axes in zip(self.state, self.program.axes, strict=True)]

    def _measure_symbols(self) -> dict[Any, int]:
        shapes = [shape_of(self.program.trace.placeholder(name).meta.get("val")) for name in self.program.trace.inputs]
        return {
            size: given
            for shape, leaf in zip(shapes, self.leaves, strict=True)
            for size, given in zip(shape, leaf.shape if shape else (), strict=True)
            if isinstance(size, sympy.Symbol)
        }


def cut_value(value: torch.Tensor, axes: Axes, kept: Kept) -> torch.Tensor:
    """Return a tensor gathered along every axis that holds an atom: the plain form of a cut; a view where it can be."""
    for axis, term in enumerate(axes):
        chosen = kept.get(term.key) if isinstance(term, Atom) else None
        if isinstance(chosen, int):
            value = value.narrow(axis, 0, chosen)
        elif _is_cut(term, kept):
            value = value.index_select(axis, indices(term, kept).to(value.device))
    return value


def keep_mask(value: torch.Tensor, axes: Axes, kept: Kept) -> torch.Tensor:
    """Return a bool tensor of the value's shape: True where a position is kept along every axis."""
    mask = torch.ones([1] * value.dim(), dtype=torch.bool, device=value.device)
    for axis, term in enumerate(axes):
        if _is_cut(term, kept):
            row = torch.zeros(value.shape[axis], dtype=torch.bool, device=value.device)
            row[indices(term, kept).to(value.device)] = True
            mask = mask & row.reshape([-1 if other == axis else 1 for other in range(value.dim())])
    return mask.expand(value.shape)


def zero_dropped(value: torch.Tensor, axes: Axes, kept: Kept) -> torch.Tensor:
    """Return a tensor with zeros where a position is dropped along some axis."""
    if not any(_is_cut(term, kept) for term in axes):
        return value
    return value.masked_fill(~keep_mask(value, axes, kept), 0)


def agree(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Return whether two tensors are equal within rounding relative to the largest entry."""
    if one.shape != other.shape:
        return False
    if one.is_complex() and other.is_complex():
        one, other = (torch.view_as_real(each.resolve_conj()) for each in (one, other))
    if not one.is_floating_point() or one.numel() == 0:
        return torch.equal(one, other)
    if torch.equal(one, other):
        return True
    tolerance = _TOLERANCES.get(one.dtype, 5e-2)
    worst = (one - other).abs().max()
    if worst.isfinite():
        return bool(worst <= tolerance * one.abs().max().clamp(min=1))
    finite = torch.isfinite(one)
    if not torch.equal(finite, torch.isfinite(other)):
        return False
    if not torch.equal(one[~finite].nan_to_num(), other[~finite].nan_to_num()):
        return False
    gap = (one - other)[finite].abs()
    return gap.numel() == 0 or bool(gap.max() <= tolerance * max(1.0, float(one[finite].abs().max())))


def is_random(node: fx.Node) -> bool:
    """Return whether two calls of an operator differ: it draws random numbers, or returns memory as it finds it."""
    if isinstance(node.target, Nested):
        return any(is_random(inner) for body in node.target.bodies for inner in body.graph.nodes)
    is_drawn = torch.Tag.nondeterministic_seeded in getattr(node.target, "tags", ())
    return is_drawn or "empty" in overload_name(node.target)


def _pack(value: torch.Tensor, axes: Axes, kept: Kept) -> torch.Tensor:
    return cut_value(value, axes, kept).contiguous()


def _is_cut(term: Term, kept: Kept) -> bool:
    return any(atom.key in kept for atom in atoms_of(term))


def refuse_to_judge(error: Exception) -> None:
    """Raise an error anew that says nothing about an operator: there was no memory left for it."""
    words = ("can't allocate memory", "not enough memory")
    if isinstance(error, MemoryError | torch.OutOfMemoryError) or any(each in str(error) for each in words):
        raise error


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
    drawn = torch.randn(leaf.shape, generator=generator, dtype=torch.float64)
    return drawn.to(device=leaf.device, dtype=dtype or leaf.dtype)


class _TooLargeError(Exception):
    """The values take more memory than they may."""


class _Recorder(fx.Interpreter):
    def __init__(self, full: FullRun, limit_bytes: int | None) -> None:
        super().__init__(full.traced, garbage_collect_values=False)
        self._full, self._limit_bytes = full, limit_bytes
        self._bytes: dict[int, int] = {}

    def run_node(self, n: fx.Node) -> Any:
        value = super().run_node(n)
        self._full.values[self._full.originals[n.name]] = value
        for leaf in pytree.tree_leaves(value) if self._limit_bytes else ():
            if isinstance(leaf, torch.Tensor):
                memory = leaf.untyped_storage()
                self._bytes[memory.data_ptr()] = memory.nbytes()
        if self._limit_bytes and sum(self._bytes.values()) > self._limit_bytes:
            raise _TooLargeError
        return value
