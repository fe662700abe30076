"""Width inference: a term for every axis of a traced network.

The rules are run over the graph in order, again and again until they teach the solver nothing new; terms are looked at
only after that. Inputs and outputs of the network are frozen, and so is everything that an operator without a rule
touches.
"""

import operator
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import fx, nn

from widthwise.graph.call import Axes, Call, Outcome
from widthwise.graph.carried import MARK, carry
from widthwise.graph.constant import find_data
from widthwise.graph.inside import enter
from widthwise.graph.nested import Nested
from widthwise.graph.rules import find_rule
from widthwise.graph.shape import fake_tensors, shape_of
from widthwise.graph.solver import Solver
from widthwise.graph.term import Frozen, quotient, size_of
from widthwise.graph.trace import Trace

__all__ = ["Inference", "StateAxes", "infer_axes", "state_tensor"]

_MAX_PASSES = 50
_WHOLE_NUMBERS = "table of whole numbers, which may be an index"


class StateAxes:
    """The axes of a network's parameters and buffers: one list per storage, so that tied names share theirs.

    Attributes:
        targets: The axes of every parameter and buffer that was asked for, and of its aliases, by name.
    """

    def __init__(self, net: nn.Module, solver: Solver) -> None:
        self._net = net
        self._solver = solver
        self._axes: dict[object, Axes] = {}
        self._aliases: dict[object, list[str]] = {}
        for tensors in (net.named_parameters(remove_duplicate=False), net.named_buffers(remove_duplicate=False)):
            for name, tensor in tensors:
                self._aliases.setdefault(_storage_key(tensor), []).append(name)
        self.targets: dict[str, Axes] = {}

    def names(self, target: str) -> list[str]:
        """Return every name of the parameter or buffer of that name, in the order of the network."""
        return self._aliases.get(_storage_key(state_tensor(self._net, target)), [target])

    def of(self, target: str) -> Axes:
        """Return the axes of a parameter or buffer by its name."""
        tensor = state_tensor(self._net, target)
        key = _storage_key(tensor)
        if key not in self._axes:
            self._axes[key] = _begin(tensor, self._solver)
        for name in self.names(target):
            self.targets[name] = self._axes[key]
        return self._axes[key]


@dataclass(frozen=True, kw_only=True, slots=True)
class Inference:
    """What is known of a traced network, the bodies of its branches and loops included.

    Attributes:
        trace: The traced network.
        solver: What is known about atoms.
        axes: The axes of every tensor that a node yields.
        outcomes: What each rule said.
        reads: Which axes a node reads.
        origins: What a placeholder of a body stands for, where it is handed on as it is.
    """

    trace: Trace
    solver: Solver
    axes: Mapping[fx.Node, tuple[Axes, ...]]
    outcomes: Mapping[fx.Node, Outcome]
    reads: Mapping[fx.Node, Axes]
    origins: Mapping[fx.Node, fx.Node] = field(default_factory=dict[fx.Node, fx.Node])

    def origin(self, node: fx.Node) -> fx.Node:
        """Return the node that a placeholder of a body stands for; any other node is itself."""
        while node in self.origins:
            node = self.origins[node]
        return node

    def axes_of(self, node: fx.Node, output: int = 0) -> Axes:
        """Return the axes of a tensor that a node yields, with everything known about them substituted."""
        return tuple([self.solver.resolve(term) for term in self.axes[node][output]])


def state_tensor(net: nn.Module, target: str) -> torch.Tensor:
    """Return a parameter or buffer of a network by its dotted name.

    Raises:
        AttributeError: There is none of that name.
    """
    path, _, name = target.rpartition(".")
    found = getattr(net.get_submodule(path), name)
    if not isinstance(found, torch.Tensor):
        raise AttributeError(f"{target} must be a parameter or a buffer, got {type(found).__name__}; name a tensor")
    return found


def infer_axes(trace: Trace, state: StateAxes, solver: Solver) -> Inference:
    """Find the term of every axis of a trace.

    Args:
        trace: The traced network.
        state: The axes of its parameters and buffers; shared between several traces of one network.
        solver: Shared likewise.
    """
    known = _placeholder_axes(trace, state, solver)
    sweep = _Sweep(solver)
    for _ in range(_MAX_PASSES):
        before = solver.num_bindings
        sweep.axes.clear()
        sweep.axes.update(known)
        for node in trace.graph.nodes:
            sweep.visit(node)
        _close(trace, state, solver, sweep.axes)
        if solver.num_bindings == before:
            return sweep.conclude(trace)
    raise AssertionError("width inference did not come to rest")


def _placeholder_axes(trace: Trace, state: StateAxes, solver: Solver) -> dict[fx.Node, tuple[Axes, ...]]:
    kinds = {entry.placeholder: entry for entry in trace.state}
    data = find_data(trace.graph, {entry.placeholder for entry in trace.state if entry.is_held})
    known: dict[fx.Node, tuple[Axes, ...]] = {}
    for node in trace.graph.nodes:
        value = node.meta.get("val")
        if node.op != "placeholder" or not isinstance(value, torch.Tensor):
            continue
        entry = kinds.get(node.name)
        if entry is None:
            known[node] = (tuple(Frozen(size, "input of the model") for size in shape_of(value)),)
            continue
        axes = _begin(value, solver, is_made=entry.is_made) if entry.is_constant else state.of(entry.target)
        if entry.is_held and node not in data:
            for term in axes:
                solver.freeze(term, "table that numbers positions")
        known[node] = (axes,)
    return known


def _begin(tensor: torch.Tensor, solver: Solver, *, is_made: bool = False) -> Axes:
    """Return the axes of a tensor that a network holds, of which nothing is known yet."""
    if is_made:
        # The rows and columns of an identity are the same units: a lookup in its rows numbers its columns too.
        return (solver.fresh(tensor.shape[0]),) * tensor.dim()
    is_free = tensor.is_floating_point() or tensor.is_complex() or tensor.dtype is torch.bool
    sizes = map(int, tensor.shape)
    return tuple(solver.fresh(size) if is_free else Frozen(size, _WHOLE_NUMBERS) for size in sizes)


class _Sweep:
    """What sweeps over a graph have found out about its nodes."""

    def __init__(self, solver: Solver) -> None:
        self.axes: dict[fx.Node, tuple[Axes, ...]] = {}
        self._solver = solver
        self._outcomes: dict[fx.Node, Outcome] = {}
        self._reads: dict[fx.Node, Axes] = {}
        self._origins: dict[fx.Node, fx.Node] = {}

    def visit(self, node: fx.Node) -> None:
        """Apply the rule of a node."""
        if node.op != "call_function":
            return
        if node.target is operator.getitem and isinstance(source := node.args[0], fx.Node) and source in self.axes:
            index = node.args[1]
            assert isinstance(index, int)
            self.axes[node] = (self.axes[source][index],)
        elif any(isinstance(value, torch.Tensor) for value in fake_tensors(node)):
            call = Call(node, self._solver, self.axes)
            outcome = self._apply(call)
            self._outcomes[node], self._reads[node] = outcome, tuple(call.reads)
            self.axes[node] = outcome.outputs
        elif node.meta.get("val") is not None:
            _freeze_measured(Call(node, self._solver, self.axes))

    def conclude(self, trace: Trace) -> Inference:
        """Return all of it."""
        return Inference(
            trace=trace, solver=self._solver, axes=self.axes, outcomes=self._outcomes, reads=self._reads,
            origins=self._origins,
        )  # fmt: skip

    def _apply(self, call: Call) -> Outcome:
        if not isinstance(call.node.target, Nested):
            return _apply_rule(call)
        outcome = enter(call, call.node.target, self.axes, self._origins, self.visit)
        return _check_sizes(outcome, call)


def _apply_rule(call: Call) -> Outcome:
    if MARK in call.node.meta:
        return carry(call)
    found = find_rule(call.node.target)
    if found is None and not call.tensors():
        return call.frozen_output(f"table made by {call.name}")
    if found is None:
        return call.freeze_everything(f"unknown operator {call.name}")
    return _check_sizes(found(call), call)


def _freeze_measured(call: Call) -> None:
    """Freeze what a number is made of that is no tensor: at another width the number would be another one."""
    for node in call.tensors():
        chosen = call.axes(node)
        if "dim" in call.arguments and chosen:
            chosen = (chosen[call.arguments["dim"]],)
        call.freeze(chosen, " measures this axis")


def _check_sizes(outcome: Outcome, call: Call) -> Outcome:
    fits = _sizes_agree(outcome, call)
    return outcome if fits else call.freeze_everything(f"the rule for {call.name} does not fit this call")


def _sizes_agree(outcome: Outcome, call: Call) -> bool:
    shapes = call.output_shapes()
    return len(shapes) == len(outcome.outputs) and all(
        len(axes) == len(shape)
        and all(quotient(size_of(term), size) == 1 or size == 0 for term, size in zip(axes, shape, strict=True))
        for axes, shape in zip(outcome.outputs, shapes, strict=True)
    )


def _close(trace: Trace, state: StateAxes, solver: Solver, axes: Mapping[fx.Node, tuple[Axes, ...]]) -> None:
    """Freeze what leaves the network; what goes back into a buffer has the buffer's axes."""
    for leaf in trace.outputs:
        if isinstance(leaf, fx.Node) and leaf in axes:
            for term in axes[leaf][0]:
                solver.freeze(term, "output of the model")
    by_name = {node.name: node for node in axes}
    for name, target in trace.mutations.items():
        if name in by_name:
            for one, other in zip(state.of(target), axes[by_name[name]][0], strict=True):
                solver.unify(one, other, f"buffer {target}")


def _storage_key(tensor: torch.Tensor) -> object:
    """Return what tensors have in common that are one under several names."""
    if tensor.is_meta or tensor.numel() == 0:
        return id(tensor)
    return (tensor.untyped_storage().data_ptr(), tensor.storage_offset(), tuple(tensor.shape), tensor.stride())
