"""Run a network at kept sets, on views of its own parameters."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import sympy
import torch
from torch import Tensor, nn

from widthwise._shared import TraceError, WidthError
from widthwise.graph import Example, KeptSet, arguments_by_name, overload_name, shape_of
from widthwise.slicing.running.compiled import CompiledGraphs
from widthwise.slicing.running.correction import Correction, UnitCorrection
from widthwise.slicing.running.cut import Layout, cut
from widthwise.slicing.running.forward import Forward
from widthwise.slicing.running.inputs import InputCheck
from widthwise.slicing.running.norms import NormState, find_place
from widthwise.slicing.running.packing import Packing
from widthwise.slicing.running.program import Program
from widthwise.slicing.running.rescale import Factor, Rescale
from widthwise.slicing.running.single import SingleSample
from widthwise.slicing.running.trunk import Trunk, find_trunk

__all__ = ["Corrections", "Result", "Runner"]

Kept = Mapping[int, KeptSet]
_LAYERS = {"aten::linear", "aten::conv1d", "aten::conv2d", "aten::conv3d"}
Corrections = Mapping[str, Sequence[Correction]]
Result = tuple[tuple[Tensor, ...], tuple[Any, ...]]


class Runner:
    """A program together with the network whose state it reads.

    Args:
        net: The network.
        program: Its rewritten trace.
        example: What a call of the network looks like.
        factor: What a weight is multiplied by where it reads `kept` of `full` units, as factor(full, kept); None for 1.
        single: What the network does with one sample; None where this program, of evaluation mode, can tell.

    Attributes:
        program: The rewritten graph.
        input_batch_axes: The batch axis of each input leaf, or None.
        output_batch_axes: The batch axis of each output leaf, or None; all None where the outputs cannot be joined.
        normalizes_batches: Whether some batch norm uses the statistics of its batch.
        single: What the network does with one sample.
        compiled: Runs the graphs at the kept sets that are compiled; None where nothing is.

    Raises:
        WidthError: A factor is asked for, and has no single meaning on this network.
    """

    def __init__(
        self,
        net: nn.Module,
        program: Program,
        example: Example,
        factor: Factor | None = None,
        single: SingleSample | None = None,
    ) -> None:
        self.program = program
        trace = program.trace
        self.input_batch_axes = trace.input_batch_axes()
        self._unsplit = ""
        try:
            self.output_batch_axes = trace.output_batch_axes()
        except TraceError as error:
            # Such a network runs at any width; what cannot be had are outputs joined from chunks.
            self.output_batch_axes, self._unsplit = (None,) * len(trace.outputs), str(error)
        self._places = [None if entry.is_constant else find_place(net, entry.target) for entry in program.state]
        self._inputs = InputCheck(trace, example)
        nodes = [trace.placeholder(entry.placeholder) for entry in program.state]
        self._layout = Layout(program.axes, owned=[_is_weight_once(node) for node in nodes])
        self._rescale = None if factor is None else Rescale(program.inference, factor)
        position = {entry.target: i for i, entry in enumerate(program.state)}
        self._norms = None if trace.prologue is None else NormState(net, trace)
        self._mutated = [position[target] for target in trace.mutations.values()]
        self._batch_norms = [node for node in program.inference.outcomes if _uses_batch(node)]
        self.normalizes_batches = bool(self._batch_norms)
        self._checked: set[tuple[int, ...]] = set()
        self._net = net
        self._trunks: dict[tuple[frozenset[int], frozenset[str], bool], Trunk] = {}
        self._packings: dict[tuple[tuple[str, int], ...], Packing] = {}
        self.compiled: CompiledGraphs | None = None
        self.single = single or SingleSample(net, program, self.state, example, self.input_batch_axes)

    def state(self) -> list[Tensor]:
        """Return the full state tensors that the program reads, in its order."""
        constants = dict(self.program.trace.constants)
        if self._norms is not None:
            constants |= self._norms.work_out()
        return [
            constants[entry.target] if place is None else place[0][place[1]]
            for entry, place in zip(self.program.state, self._places, strict=True)
        ]

    def cut_state(self, kept: Kept, corrections: Corrections | None = None) -> list[Tensor]:
        """Return the state at a kept set, as views where possible, rescaled and corrected where that is asked for."""
        return self._finish_cut(self._layout.cut(self.state(), kept), kept, corrections)

    def correct_units(self, axes: Mapping[str, int], values: Tensor, kept: Kept) -> dict[str, UnitCorrection]:
        """Return corrections of units at a kept set, by the names of their parameters.

        Args:
            axes: Along which axis of each parameter the units stand.
            values: Of all these axes at full width, side by side.
            kept: Which units stay.
        """
        key = tuple(axes.items())
        if key not in self._packings:
            terms = {entry.target: own for entry, own in zip(self.program.state, self.program.axes, strict=True)}
            self._packings[key] = Packing([terms[name][axis] for name, axis in key])
        parts = self._packings[key].cut(values, kept)
        return {name: UnitCorrection(axis=axis, values=part) for (name, axis), part in zip(key, parts, strict=True)}

    def leaves_of(self, inputs: Example) -> list[Any]:
        """Return the leaves of a call's inputs, checked against the traced ones.

        Raises:
            TraceError: They are of another structure, another shape or another value than what was traced.
        """
        return self._inputs.leaves_of(inputs)

    def symbols_of(self, leaves: Sequence[Any]) -> dict[Any, int]:
        """Return the value of each dynamic size that is an axis of an input.

        Raises:
            TraceError: The network cannot run on so few or so many samples.
        """
        self._check_sizes(leaves)
        return self._inputs.symbols_of(leaves)

    def batch_of(self, leaves: Sequence[Any]) -> int:
        """Return the number of samples."""
        return next(
            leaf.shape[axis] for leaf, axis in zip(leaves, self.input_batch_axes, strict=True) if axis is not None
        )

    def run(self, kept: Kept, leaves: Sequence[Any], corrections: Corrections | None = None) -> Result:
        """Run at one kept set; returns the new buffer values and the output leaves.

        Args:
            kept: Which units stay.
            leaves: The inputs.
            corrections: Of parameters, by name; None for none.

        Raises:
            TraceError: The network cannot run on so few or so many samples.
        """
        self._check_sizes(leaves)
        return self._call(self.program.forward, kept, *self.cut_state(kept, corrections), *leaves)

    def run_together(
        self, kepts: Sequence[Kept], batches: Sequence[Sequence[Any]], corrections: Sequence[Corrections | None] = ()
    ) -> list[Result]:
        """Run several kept sets, each on inputs of its own, and with corrections of its own where there are any.

        Raises:
            TraceError: The network cannot run on so few or so many samples, or its outputs cannot be joined.
        """
        for leaves in batches:
            self._check_sizes(leaves)
        if len(batches) > 1 and self._unsplit:
            raise TraceError(self._unsplit)
        rows = self._layout.cut_together(self.state(), kepts, shares_gradients=self.compiled is not None)
        return [
            self._call(self.program.forward, kept, *self._finish_cut(row, kept, own), *leaves)
            for kept, row, leaves, own in zip(kepts, rows, batches, corrections or [None] * len(kepts), strict=True)
        ]

    def run_stacked(
        self,
        kepts: Sequence[Kept],
        leaves: Sequence[Any],
        corrections: Sequence[Corrections | None] = (),
        *,
        causal: bool = False,
    ) -> list[Result]:
        """Run several kept sets on the same inputs, the full one first; what they have in common is run once.

        Args:
            kepts: Which units stay, full width first.
            leaves: The inputs.
            corrections: Of parameters, for each kept set.
            causal: Whether the kept sets are those of fractions of every group, for which causal masks hold.

        Raises:
            TraceError: The network cannot run on so few or so many samples.
        """
        self._check_sizes(leaves)
        trunk = self.trunk(kepts, corrections, causal=causal)
        states = self._layout.cut_together(self.state(), kepts, shares_gradients=self.compiled is not None)
        owns = corrections or [None] * len(kepts)
        states = [self._finish_cut(row, kept, own) for kept, row, own in zip(kepts, states, owns, strict=True)]
        values = self._call(trunk.stem, kepts[0], *states[0], *leaves)
        return [
            self._call(trunk.branch, kept, *state, *leaves, *trunk.cut(values, kept))
            for kept, state in zip(kepts, states, strict=True)
        ]

    def trunk(
        self, kepts: Sequence[Kept], corrections: Sequence[Corrections | None] = (), *, causal: bool = False
    ) -> Trunk:
        """Return what kept sets have in common when they run on the same inputs."""
        keys = frozenset(key for kept in kepts for key, units in kept.items() if units != kepts[0][key])
        changed = frozenset(name for each in corrections for name in each or ())
        if self._rescale is not None:
            changed |= self._rescale.targets
        held = (keys, changed, causal)
        if held not in self._trunks:
            nodes = find_trunk(self._net, self.program, keys, changed=changed, causal=causal)
            self._trunks[held] = Trunk(self.program, nodes)
        return self._trunks[held]

    @torch.no_grad()
    def write_back(self, kept: Kept, values: Sequence[Tensor]) -> None:
        """Store new buffer values where they were cut from.

        Raises:
            WidthError: A buffer is cut at scattered units.
        """
        if self._norms is not None:
            self._norms.write_back()
        for index, value in zip(self._mutated, values, strict=True):
            if not self._layout.is_prefix(index, kept):
                raise WidthError(
                    f"buffer {self.program.state[index].target} can be updated at prefixes only, got scattered units; "
                    "run it in evaluation mode"
                )
            held, name = self._places[index] or ({}, "")
            cut(held[name], self.program.axes[index], kept).copy_(value)

    def _call(self, forward: Forward, kept: Kept, *inputs: Any) -> Any:
        sizes = self.program.sizes(kept)
        if self.compiled is None:
            return forward(sizes, *inputs)
        return self.compiled.run(forward, kept, sizes, *inputs)

    def _finish_cut(self, parts: list[Tensor], kept: Kept, corrections: Corrections | None = None) -> list[Tensor]:
        for index in self._mutated:
            # Autograd keeps what a norm read, and `write_back` must not change that.
            parts[index] = parts[index].clone()
        if self._rescale is not None:
            for i, entry in enumerate(self.program.state):
                parts[i] = self._rescale.apply(entry.target, parts[i], kept)
        if corrections is not None:
            for i, entry in enumerate(self.program.state):
                for own in corrections.get(entry.target, ()):
                    parts[i] = own.apply(parts[i])
        return parts

    def _check_sizes(self, leaves: Sequence[Any]) -> None:
        symbols = self._inputs.symbols_of(leaves)
        key = tuple(symbols.values())
        if key not in self._checked:
            self._inputs.check_branches(symbols)
            if symbols.get(self.program.trace.batch_symbol) == 1:
                self.single.check()
            for node in self._batch_norms:
                source: Any = node.args[0]
                shape = [int(sympy.sympify(size).subs(symbols)) for size in shape_of(source.meta["val"])]
                if math.prod(shape) == shape[1]:
                    raise TraceError(
                        "batch norm in training needs more than one value per channel, got inputs of shape "
                        f"{tuple(shape)}; give larger batches (drop_last=True of a DataLoader leaves out a last batch "
                        "of one sample)"
                    )
            self._checked.add(key)


def _is_weight_once(node: torch.fx.Node) -> bool:
    """Whether a tensor is read once, as the weight of a layer whose backward makes a gradient of its own for it."""
    users = list(node.users)
    names = [getattr(getattr(user.target, "_schema", None), "name", "") for user in users]
    return len(users) == 1 and names[0] in _LAYERS and len(users[0].args) > 1 and users[0].args[1] is node


def _uses_batch(node: torch.fx.Node) -> bool:
    """Whether a node is a batch norm on the statistics of its batch."""
    name = overload_name(node.target).partition(".")[0]
    if name == "aten::batch_norm":
        return bool(arguments_by_name(node)["training"])
    return name in ("aten::_native_batch_norm_legit_functional", "aten::_native_batch_norm_legit")
