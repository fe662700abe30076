"""Which numbers in a traced graph came from a size of units: `y / y.shape[-1]`, but not `y * self.scale`.

Parameters have fixed sizes in a trace, so both are plain numbers there. The network is exported once more with its
parameters as inputs and their axes dynamic: what came from a shape is then an expression of sizes, a number of its own
still a number. Code that holds an axis to a literal size makes it fixed in that export too, and what comes of it stays
a number.
"""

import math
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from itertools import count as numbers
from typing import Any

import sympy
import torch
from torch import fx, nn
from torch.export import Dim, ExportedProgram
from torch.export.graph_signature import InputKind
from torch.utils import _pytree as pytree

from widthwise.graph.absolute import count_from_front, name_squeezed_axes
from widthwise.graph.constant import is_table
from widthwise.graph.example import Example
from widthwise.graph.export import enlarge_batch, export_functional
from widthwise.graph.formula import Formula
from widthwise.graph.infer import Inference, state_tensor
from widthwise.graph.overload import arguments_by_name, overload_name
from widthwise.graph.shape import fake_tensors, shape_of
from widthwise.graph.term import Frozen, Product, Sum, Term, atoms_of, size_of
from widthwise.graph.trace import Trace, in_mode

__all__ = ["Counts", "find_counts", "is_arithmetic"]

Counts = Mapping[fx.Node, Mapping[str, Formula]]
_OPERATORS = {"aten::mul", "aten::div", "aten::true_divide", "aten::add", "aten::sub", "aten::rsub"}
_UNKNOWN = sympy.Symbol("unknown", integer=True, positive=True)


def is_arithmetic(node: fx.Node) -> bool:
    """Return whether a node adds, subtracts, multiplies or divides: where a number may stand for a size."""
    return overload_name(node.target).partition(".")[0] in _OPERATORS


def find_counts(
    net: nn.Module,
    inference: Inference,
    example: Example,
    *,
    training: bool | None = None,
    batch_dim: int = 0,
    strict: bool = False,
) -> Counts:
    """Return the numbers in arithmetic that a network works out of sizes of its units, by node and argument.

    Where it cannot be exported with dynamic parameters, or does something else then, none are known.

    Args:
        net: The network.
        inference: What is known of its trace.
        example: Inputs of one call, as they were traced.
        training: As it was traced.
        batch_dim: Likewise.
        strict: Likewise.
    """
    axes = _find_axes(net, inference)
    try:
        with in_mode(net, training), _symbolic_roots():
            program = _export(net, inference.trace, _fit(example, inference.trace, batch_dim), axes, strict=strict)
    except Exception:  # noqa: BLE001  (a network need not be traceable in two ways)
        return {}
    pairs = _pair_inputs(net, program, inference.trace, list(axes))
    if not _pair_operators(inference.trace.graph, program.graph, pairs):
        return {}
    sizes = _name_sizes(inference, pairs)
    found: dict[fx.Node, dict[str, Formula]] = {}
    for node, other in pairs.items():
        for argument, traced, expression in _symbolic_numbers(node, other):
            formula = _write_formula(expression, sizes, traced)
            if formula is not None:
                found.setdefault(node, {})[argument] = formula
    return found


def _find_axes(net: nn.Module, inference: Inference) -> dict[str, tuple[bool, ...]]:
    """Return which axes hold units, of each parameter and buffer that has such, by the first of its names."""
    trace = inference.trace
    found: dict[str, tuple[bool, ...]] = {}
    seen: set[int] = set()
    for entry in trace.state:
        if entry.is_constant or id(tensor := state_tensor(net, entry.target)) in seen:
            continue
        seen.add(id(tensor))
        axes = inference.axes_of(trace.placeholder(entry.placeholder))
        is_free = tuple(any(True for _ in atoms_of(term)) for term in axes)
        if any(is_free):
            found[entry.target] = is_free
    return found


def _fit(example: Example, trace: Trace, batch_dim: int) -> Example:
    """Return the example with the batch that it was traced with."""
    assert trace.batch_symbol is not None
    index, axis = next((i, axis) for i, axis in enumerate(trace.input_batch_axes()) if axis is not None)
    for copies in (1, 2):
        fitting = enlarge_batch(example, batch_dim, copies)
        if fitting.leaves()[index].shape[axis] == trace.symbols[trace.batch_symbol]:
            break
    return fitting


class _OnState(nn.Module):
    """A network as a function of some of its parameters and buffers too."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, state: dict[str, torch.Tensor], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return torch.func.functional_call(self.net, state, args, kwargs)


@contextmanager
def _symbolic_roots() -> Generator[None]:
    """Let `math.sqrt` of a symbolic size be symbolic, where it would fix the size to its number."""
    plain = math.sqrt

    def root(value: Any) -> Any:
        return torch.sym_sqrt(value) if isinstance(value, torch.SymInt | torch.SymFloat) else plain(value)

    math.sqrt = root
    try:
        yield
    finally:
        math.sqrt = plain


def _export(
    net: nn.Module, trace: Trace, example: Example, axes: Mapping[str, tuple[bool, ...]], *, strict: bool
) -> ExportedProgram:
    state = {target: _stand_in(state_tensor(net, target)) for target in axes}
    marks = {
        target: {axis: Dim.AUTO if is_free else Dim.STATIC for axis, is_free in enumerate(each)}
        for target, each in axes.items()
    }
    given = _mark_inputs(trace, example)
    program = export_functional(
        _OnState(net),
        Example(args=(state, example.args, dict(example.kwargs)), kwargs={}),
        (marks, given.args, dict(given.kwargs)),
        strict=strict,
    )
    program.graph.eliminate_dead_code(lambda node: node.op in ("placeholder", "output"))
    name_squeezed_axes(program.graph)
    count_from_front(program.graph)
    return program


def _stand_in(tensor: torch.Tensor) -> torch.Tensor:
    """Return a tensor like one of the state that shares no memory with it; nobody looks at its numbers."""
    fresh = torch.empty_like(tensor.detach())
    return nn.Parameter(fresh, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else fresh


def _mark_inputs(trace: Trace, example: Example) -> Example:
    """Let those axes of the inputs be dynamic that are in the trace."""
    leaves, spec = pytree.tree_flatten((example.args, example.kwargs))
    batched = [axis for axis in trace.input_batch_axes() if axis is not None]
    batch = Dim("batch") if len(batched) > 1 else Dim.AUTO
    marks: list[Any] = []
    for leaf, name in zip(leaves, trace.inputs, strict=True):
        sizes = shape_of(trace.placeholder(name).meta.get("val"))
        mark = {
            axis: Dim.STATIC if isinstance(size, int) else batch if size == trace.batch_symbol else Dim.AUTO
            for axis, size in enumerate(sizes)
        }
        marks.append(mark if isinstance(leaf, torch.Tensor) else None)
    args, kwargs = pytree.tree_unflatten(marks, spec)
    return Example(args=args, kwargs=kwargs)


def _pair_inputs(net: nn.Module, program: ExportedProgram, trace: Trace, targets: list[str]) -> dict[fx.Node, fx.Node]:
    """Return the placeholder of the second program for each input, and each parameter and buffer with units."""
    nodes = {node.name: node for node in program.graph.find_nodes(op="placeholder")}
    specs = program.graph_signature.input_specs
    given = [nodes[spec.arg.name] for spec in specs if spec.kind == InputKind.USER_INPUT]
    ordered = pytree.tree_leaves({target: target for target in targets})
    held = {id(state_tensor(net, target)): node for target, node in zip(ordered, given, strict=False)}
    pairs = dict(zip(map(trace.placeholder, trace.inputs), given[len(targets) :], strict=True))
    for entry in trace.state:
        node = None if entry.is_constant else held.get(id(state_tensor(net, entry.target)))
        if node is not None:
            pairs[trace.placeholder(entry.placeholder)] = node
    return pairs


def _pair_operators(graph: fx.Graph, other: fx.Graph, pairs: dict[fx.Node, fx.Node]) -> bool:
    """Add the node of another graph for each operator on tensors; return whether the graphs are alike in these."""
    matched = set(pairs.values())
    rest = _operators(other)
    for node in _operators(graph):
        # A table that is a constant of one trace is made of symbolic sizes in the other.
        found = next((each for each in rest if each.target == node.target or not is_table(each)), None)
        if found is None or found.target != node.target:
            return False
        read = [pairs[source] for source in node.all_input_nodes if source in pairs]
        if read != [source for source in found.all_input_nodes if source in matched]:
            return False
        pairs[node] = found
        matched.add(found)
    return all(is_table(each) for each in rest)


def _operators(graph: fx.Graph) -> Iterator[fx.Node]:
    for node in graph.nodes:
        if node.op == "call_function" and any(isinstance(each, torch.Tensor) for each in fake_tensors(node)):
            yield node


def _name_sizes(inference: Inference, pairs: Mapping[fx.Node, fx.Node]) -> dict[sympy.Expr, Term | None]:
    """Return the axis that each symbolic size is the size of; None where that can be several."""
    found: dict[sympy.Expr, Term | None] = {}
    for node, other in pairs.items():
        for output, value in enumerate(fake_tensors(other)):
            known = inference.axes_of(node, output) if node in inference.axes else ()
            for size, term in zip(shape_of(value), known, strict=False):
                if isinstance(size, sympy.Expr):
                    bare = _forget_reasons(term) if isinstance(size_of(term), int) else None
                    found[size] = bare if found.get(size, bare) == bare else None
    return found


def _forget_reasons(term: Term) -> Term:
    if isinstance(term, Frozen):
        return Frozen(term.size, "")
    if isinstance(term, Product):
        return Product(tuple(_forget_reasons(factor) for factor in term.factors))
    if isinstance(term, Sum):
        return Sum(tuple(_forget_reasons(part) for part in term.parts))
    return term


def _symbolic_numbers(node: fx.Node, other: fx.Node) -> Iterator[tuple[str, int | float, sympy.Expr]]:
    """Yield the plain numbers of an operator that are symbolic in the other graph: argument, number, expression."""
    if not is_arithmetic(node):
        return
    symbolic = arguments_by_name(other)
    for argument, traced in arguments_by_name(node).items():
        found = symbolic.get(argument)
        value = found.meta.get("val") if isinstance(found, fx.Node) else None
        if isinstance(traced, int | float) and isinstance(value, torch.SymInt | torch.SymFloat):
            yield argument, traced, value.node.expr


def _write_formula(
    expression: sympy.Expr, sizes: Mapping[sympy.Expr, Term | None], traced: int | float
) -> Formula | None:
    """Return a number as a formula of axes; None where it has sizes of inputs or of several axes in it."""
    named: dict[Term, sympy.Symbol] = {}
    fresh = (sympy.Symbol(f"n{i}", integer=True, positive=True) for i in numbers())
    replaced: Any = expression.xreplace(
        {
            size: _UNKNOWN if term is None else named[term] if term in named else named.setdefault(term, next(fresh))
            for size, term in sizes.items()
        }
    )
    terms = tuple((symbol, term) for term, symbol in named.items() if symbol in replaced.free_symbols)
    if replaced.free_symbols != {symbol for symbol, _ in terms} or not _hold_units(terms):
        return None
    full = replaced.subs([(symbol, size_of(term)) for symbol, term in terms])
    fits = math.isclose(float(full), traced, rel_tol=1e-9)
    return Formula(expression=replaced, terms=terms, full=traced) if fits else None


def _hold_units(terms: tuple[tuple[sympy.Symbol, Term], ...]) -> bool:
    return any(True for _, term in terms for _ in atoms_of(term))
