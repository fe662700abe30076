"""The network as a functional ATen graph, traced by torch.export with its batch left dynamic.

The graph is exported without strict mode and functionalised (`run_decompositions({})`), which keeps high-level
operators whole and turns in-place writes into values; what the network writes to its buffers comes out as extra
outputs.
"""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import sympy
import torch
from torch import fx, nn
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind, OutputKind

from widthwise._shared import TraceError
from widthwise.graph.absolute import count_from_front, name_squeezed_axes
from widthwise.graph.assignment import write_out_assignments
from widthwise.graph.example import Example
from widthwise.graph.export import FixedAxes, enlarge_batch, export_network
from widthwise.graph.nested import hold_bodies
from widthwise.graph.samples import find_samples
from widthwise.graph.shape import expression, shape_of
from widthwise.graph.spectral import Prologue
from widthwise.graph.state import StateInput, read_state

__all__ = ["Trace", "in_mode", "trace_network"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Trace:
    """A traced network.

    Attributes:
        graph: The functional graph; each node carries its fake value under `meta["val"]`.
        state: What the graph reads of the network, in the order of its placeholders.
        prologue: What the network works out of its whole state before anything is cut, or None; the graph reads the
            numbers as constants.
        inputs: Placeholder names of the user's inputs, one per leaf.
        mutations: Buffer name by the name of the node that holds its new value.
        outputs: The user's outputs, one per leaf: a node or a constant.
        constants: Tensors that the graph holds by itself, and tables that it would make of plain numbers, by target.
        output_spec: The structure of the outputs.
        batch_symbol: The symbol of the batch size; None when no input has a batch axis.
        symbols: The value that each dynamic size had in the example.
        batch_range: Smallest and largest batch size for which the traced branches hold.
        guards: What else the traced branches demand of dynamic sizes, as sympy relations.
        training: Whether the network was traced in training mode.
    """

    graph: fx.Graph
    state: tuple[StateInput, ...]
    prologue: Prologue | None
    inputs: tuple[str, ...]
    mutations: Mapping[str, str]
    outputs: tuple[Any, ...]
    constants: Mapping[str, torch.Tensor]
    output_spec: Any
    batch_symbol: sympy.Symbol | None
    symbols: Mapping[sympy.Symbol, int]
    batch_range: tuple[float, float]
    guards: tuple[sympy.Basic, ...]
    training: bool
    # Asked for at every call of an elastic network, mostly with the same few sizes.
    _held: dict[tuple[tuple[Any, int], ...], bool] = field(default_factory=dict[Any, bool], repr=False, compare=False)

    def placeholder(self, name: str) -> fx.Node:
        """Return the placeholder node of that name."""
        return next(node for node in self.graph.nodes if node.op == "placeholder" and node.name == name)

    def input_batch_axes(self) -> tuple[int | None, ...]:
        """Return, for each input leaf, the axis whose size is the batch size, or None.

        Raises:
            TraceError: An input has several such axes.
        """
        advice = "give an example in which no other axis is as long as the batch"
        return tuple(self._batch_axis(self.placeholder(name), f"input {name}", advice) for name in self.inputs)

    def output_batch_axes(self) -> tuple[int | None, ...]:
        """Return, for each output leaf, the axis whose size is the batch size, or None.

        Raises:
            TraceError: An output has several such axes, or one into which the batch is folded.
        """
        advice = "let the network return one row per sample, as in y.view(x.shape[0], -1)"
        return tuple(self._batch_axis(leaf, f"output {i}", advice) for i, leaf in enumerate(self.outputs))

    def holds_for(self, symbols: Mapping[sympy.Symbol, int]) -> bool:
        """Return whether the traced branches hold for these values of the dynamic sizes."""
        values = tuple(symbols.items())
        if values not in self._held:
            self._held[values] = all(guard.subs(list(values)) != sympy.false for guard in self.guards)
        return self._held[values]

    def _batch_axis(self, leaf: Any, what: str, advice: str) -> int | None:
        value = leaf.meta.get("val") if isinstance(leaf, fx.Node) else None
        if not isinstance(value, torch.Tensor) or self.batch_symbol is None:
            return None
        shape = shape_of(value)
        axes = [i for i, size in enumerate(shape) if isinstance(size, sympy.Expr) and size.has(self.batch_symbol)]
        if len(axes) > 1 or (axes and shape[axes[0]] != self.batch_symbol):
            named = {self.batch_symbol: sympy.Symbol("batch")}
            sizes = [str(size.xreplace(named)) if isinstance(size, sympy.Expr) else str(size) for size in shape]
            shown = "(" + ", ".join(sizes) + (",)" if len(sizes) == 1 else ")")
            raise TraceError(f"the batch must be one axis of {what}, got the shape {shown}; {advice}")
        return axes[0] if axes else None


def trace_network(
    net: nn.Module,
    example: Example,
    *,
    training: bool | None = None,
    batch_dim: int = 0,
    fixed: FixedAxes = frozenset(),
    strict: bool = False,
) -> Trace:
    """Trace a network with every input axis dynamic where the network allows it.

    Args:
        net: The network; its parameters are not touched, its modes are restored.
        example: Inputs of one call. A batch of 1 is doubled first, since a traced size of 1 would become a constant.
        training: Trace in training (True) or evaluation mode (False) throughout; None keeps every module's own mode.
        batch_dim: The batch axis of the first tensor input.
        fixed: Input axes that keep the example's size, as (leaf, axis).
        strict: Whether torch.export reads the Python of the network instead of running it.

    Raises:
        TraceError: torch.export cannot trace the network, or its batch size is fixed or ambiguous.
    """
    refusal = (
        "the batch size must stay dynamic, but the traced network works for one batch size only (a reshape, an index "
        "or a comparison fixes it); write sizes as x.shape[0] or -1, or say which axis is the batch with batch_dim="
    )
    is_training = net.training if training is None else training
    enlarged = enlarge_batch(example, batch_dim, 1)
    with in_mode(net, training=False):
        told = find_samples(net, enlarged, batch_dim)
    with in_mode(net, training):
        program = _export_told(net, enlarged, batch_dim, fixed, told, strict=strict)
        if _find_batch_symbol(program, batch_dim) is None:
            # Fixed only because it is as long as another axis, perhaps: try once more with a longer one.
            enlarged = enlarge_batch(example, batch_dim, 2)
            try:
                program = _export_told(net, enlarged, batch_dim, fixed, told, strict=strict)
            except TraceError as error:
                raise TraceError(refusal) from error
        trace = _read_program(program, enlarged, batch_dim, is_training, refusal)
    _check_told(trace, enlarged, batch_dim, told)
    return trace


def _export_told(
    net: nn.Module,
    example: Example,
    batch_dim: int,
    fixed: FixedAxes,
    told: Mapping[int, bool | None],
    *,
    strict: bool,
) -> ExportedProgram:
    """Export with one batch for all inputs that hold samples; where that fails, with what the trace finds by itself."""
    batched = frozenset((leaf, batch_dim) for leaf, holds in told.items() if holds)
    if batched:
        leaves = example.leaves()
        first = next(i for i, leaf in enumerate(leaves) if isinstance(leaf, torch.Tensor) and leaf.dim() > batch_dim)
        try:
            return _export(net, example, batch_dim, fixed, batched | {(first, batch_dim)}, strict=strict)
        except TraceError:
            pass
    return _export(net, example, batch_dim, fixed, strict=strict)


def _export(
    net: nn.Module,
    example: Example,
    batch_dim: int,
    fixed: FixedAxes,
    batched: FixedAxes = frozenset(),
    *,
    strict: bool,
) -> ExportedProgram:
    """Export, and again with those axes fixed that the network ties by an equation: a flattened image has one size."""
    while True:
        program = export_network(net, example, fixed, batched, strict=strict)
        tied = _find_tied_axes(program, _find_batch_symbol(program, batch_dim))
        if tied <= fixed:
            return program
        fixed |= tied


def _find_tied_axes(program: ExportedProgram, batch: sympy.Symbol | None) -> FixedAxes:
    """Return the input axes, as (leaf, axis), whose sizes stand in an equation; the batch axis never does."""
    equations = [guard for guard in _guards(program) if guard.has(sympy.Eq)]
    tied = {symbol for guard in equations for symbol in guard.free_symbols} - {batch}
    return frozenset(
        (leaf, axis)
        for leaf, node in enumerate(_input_nodes(program))
        for axis, size in enumerate(shape_of(node.meta.get("val")))
        if isinstance(size, sympy.Expr) and size.free_symbols & tied
    )


def _guards(program: ExportedProgram) -> list[Any]:
    """Return the relations between dynamic input sizes that tracing relied on."""
    sizes = {
        symbol
        for node in _input_nodes(program)
        for size in shape_of(node.meta.get("val"))
        if isinstance(size, sympy.Expr)
        for symbol in size.free_symbols
    }
    values = [node.meta.get("val") for node in _input_nodes(program)]
    fake = next((value for value in values if isinstance(value, torch.Tensor)), None)
    environment = getattr(getattr(fake, "fake_mode", None), "shape_env", None)
    guards = [] if environment is None else [guard.expr for guard in environment.guards]
    return list(dict.fromkeys(guard for guard in guards if guard.free_symbols and guard.free_symbols <= sizes))


def _input_nodes(program: ExportedProgram) -> list[fx.Node]:
    nodes = {node.name: node for node in program.graph.nodes}
    return [nodes[spec.arg.name] for spec in program.graph_signature.input_specs if spec.kind == InputKind.USER_INPUT]


@contextmanager
def in_mode(net: nn.Module, training: bool | None) -> Generator[None]:
    """Put every module of a network in a mode and give each its own back afterwards; None leaves them as they are."""
    modes = [(module, module.training) for module in net.modules()]
    try:
        if training is not None:
            net.train(training)
        yield
    finally:
        for module, mode in modes:
            module.training = mode


def _find_batch_symbol(program: ExportedProgram, batch_dim: int) -> sympy.Symbol | None:
    """Return the size of the batch axis of the first tensor input that has one, if it stayed dynamic."""
    for node in _input_nodes(program):
        shape = shape_of(node.meta.get("val"))
        if len(shape) > batch_dim:
            size = shape[batch_dim]
            return size if isinstance(size, sympy.Symbol) else None
    return None


def _read_program(program: ExportedProgram, example: Example, batch_dim: int, training: bool, refusal: str) -> Trace:
    symbol = _find_batch_symbol(program, batch_dim)
    if symbol is None:
        raise TraceError(refusal)
    returned = next(iter(program.graph.find_nodes(op="output"))).args[0]
    kinds = [(spec.kind, spec.target) for spec in program.graph_signature.output_specs]
    hold_bodies(program.graph_module)
    _check_flat(program)
    # What is read for its shape alone (`x[..., 0].shape[0]`), and checks: `Trace.guards` says what they hold for.
    program.graph.eliminate_dead_code(lambda node: node.op in ("placeholder", "output"))
    write_out_assignments(program.graph)
    name_squeezed_axes(program.graph)
    count_from_front(program.graph)
    mutations = {
        leaf.name: target or ""
        for leaf, (kind, target) in zip(returned, kinds, strict=True)
        if kind == OutputKind.BUFFER_MUTATION
    }
    state, tables, prologue = read_state(program, mutations)
    trace = Trace(
        graph=program.graph,
        state=state,
        prologue=prologue,
        inputs=tuple(node.name for node in _input_nodes(program)),
        mutations=mutations,
        outputs=tuple(leaf for leaf, (kind, _) in zip(returned, kinds, strict=True) if kind == OutputKind.USER_OUTPUT),
        constants={name: value for name, value in program.constants.items() if isinstance(value, torch.Tensor)}
        | tables,
        output_spec=program.call_spec.out_spec,
        batch_symbol=symbol,
        symbols=_symbol_values(_input_nodes(program), example.leaves()),
        batch_range=_bounds(program.range_constraints.get(symbol)),
        guards=tuple(_guards(program)),
        training=training,
    )
    trace.input_batch_axes()
    return trace


def _check_flat(program: ExportedProgram) -> None:
    """Refuse graphs inside the graph that `widthwise.graph.nested` does not know."""
    nested = [node for node in program.graph.nodes if node.op == "get_attr"]
    if nested:
        users = sorted({str(user.target) for node in nested for user in node.users})
        raise TraceError(
            f"the network must be one graph of operators, got another one inside it ({', '.join(users)}); write the "
            "branch with torch.where, or place ww.StructuralDropout by hand"
        )


def _check_told(trace: Trace, example: Example, batch_dim: int, told: Mapping[int, bool | None]) -> None:
    """Refuse an input that is as long as the batch and not tied to it, unless it is known to hold no samples.

    Raises:
        TraceError: There is one.
    """
    leaves, known = example.leaves(), trace.input_batch_axes()
    for index, axis in enumerate(known):
        if axis is None and told.get(index) is not False and _is_loose(trace, index, leaves, batch_dim):
            raise TraceError(
                f"it must be clear which inputs hold samples, but {trace.inputs[index]} is as long as the batch "
                f"({leaves[index].shape[batch_dim]}) and nothing in the network ties it to the batch; tie it with "
                "torch._check(x.shape[0] == y.shape[0]) in forward, or give an example in which it has another length"
            )


def _is_loose(trace: Trace, index: int, leaves: list[Any], batch_dim: int) -> bool:
    """Whether an input is as long as the batch without being tied to it."""
    leaf = leaves[index]
    if trace.batch_symbol is None or not isinstance(leaf, torch.Tensor) or leaf.dim() <= batch_dim:
        return False
    size = shape_of(trace.placeholder(trace.inputs[index]).meta["val"])[batch_dim]
    return isinstance(size, sympy.Symbol) and leaf.shape[batch_dim] == trace.symbols[trace.batch_symbol]


def _symbol_values(placeholders: list[fx.Node], leaves: list[Any]) -> dict[sympy.Symbol, int]:
    values: dict[sympy.Symbol, int] = {}
    for node, leaf in zip(placeholders, leaves, strict=True):
        if isinstance(leaf, torch.Tensor):
            for size, value in zip(node.meta["val"].shape, leaf.shape, strict=True):
                if isinstance(symbol := expression(size), sympy.Symbol):
                    values[symbol] = int(value)
    return values


def _bounds(bounds: Any) -> tuple[float, float]:
    """Return the range of the batch size.

    A lower bound of 2 is how tracing says "not specialised to 0 or 1", so it means 1 here.
    """
    if bounds is None:
        return 1, float("inf")
    lower = int(bounds.lower) if bounds.lower.is_Integer else 0
    upper = int(bounds.upper) if bounds.upper.is_Integer else float("inf")
    return (1 if lower <= 2 else lower), upper
