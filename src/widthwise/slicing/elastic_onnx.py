"""One ONNX program of all widths: the units of each group are whole numbers that it takes as inputs.

The traced graph reads its sizes from a table as ever, and cuts the weights itself; both are worked out of the inputs,
so one file is right at every width. Needs the extra `export`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor, fx, nn
from torch.export import Dim
from torch.utils import _pytree as pytree

from widthwise._shared import ExportError, require
from widthwise.graph import Formula, Nested, find_protected_devices, overload_name, silence
from widthwise.slicing.octave_inputs import OctaveCorrection
from widthwise.slicing.running.program import Program
from widthwise.slicing.symbolic import count_symbolically, cut_symbolically

__all__ = ["ElasticProgram", "Statistics", "read_onnx", "write_onnx"]

_ONE_BY_ONE = "save .safetensors, or export the widths that you need one by one"
_RECURRENT = {"aten::lstm", "aten::gru", "aten::rnn_tanh", "aten::rnn_relu"}


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Statistics:
    """BatchNorm statistics of several widths.

    Attributes:
        widths: The units of each input, narrowest first and full width last.
        values: Those of each width by name, as many as it has units.
    """

    widths: Sequence[Sequence[int]]
    values: Sequence[Mapping[str, Tensor]]


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class ElasticProgram:
    """A program with what must be known to write it for all widths.

    Attributes:
        program: Of evaluation mode.
        state: What it reads of its network, at full width.
        leaves: The leaves of an example of two samples or more.
        names: Of these leaves.
        batch_axes: The batch axis of each leaf, or None.
        units: The full size of each group that is an input, by the key of its atom.
        groups: The names of these groups.
        statistics: BatchNorm statistics by width; None for those of the state at every width.
        corrections: What each octave of width has of its own, by the names of the parameters.
        facts: Where the network comes from.
    """

    program: Program
    state: Sequence[Tensor]
    leaves: Sequence[Any]
    names: Sequence[str]
    batch_axes: Sequence[int | None]
    units: Mapping[int, int]
    groups: Sequence[str]
    statistics: Statistics | None
    corrections: Mapping[str, Sequence[OctaveCorrection]]
    facts: Mapping[str, str]


def write_onnx(elastic: ElasticProgram, path: Path) -> None:
    """Write a program that takes the network's inputs and then, as int64 scalars, the units of each group.

    Raises:
        ExportError: It cannot be written with widths as inputs.
        MissingExtraError: The extra `export` is missing.
    """
    onnx = require("onnx", "export")
    require("onnxscript", "export")
    _refuse(elastic)
    batch = Dim("batch")
    tensors = [(leaf, axis) for leaf, axis in zip(elastic.leaves, elastic.batch_axes, strict=True) if _is_input(leaf)]
    shapes = [{} if axis is None else {axis: batch} for _, axis in tensors]
    examples = [min(size, max(2, size // 2)) for size in elastic.units.values()]
    marks = (*shapes, *[Dim.DYNAMIC for _ in examples])
    names = [name for name, leaf in zip(elastic.names, elastic.leaves, strict=True) if _is_input(leaf)]
    try:
        with silence(), torch.no_grad():
            program = torch.export.export(
                _AtWidths(elastic).eval(),
                (*[leaf for leaf, _ in tensors], *examples),
                dynamic_shapes={"inputs": marks},
                strict=False,
            )
            for node in program.graph.nodes:
                # They hold paths of this machine.
                node.meta.pop("stack_trace", None)
            written = torch.onnx.export(
                program, dynamo=True, verbose=False, input_names=[*names, *(f"width.{name}" for name in elastic.groups)]
            )
    except Exception as error:
        raise ExportError(
            f"expected a network that ONNX can hold with its widths as inputs, got: {_first_line(error)}; {_ONE_BY_ONE}"
        ) from error
    model = None if written is None else written.model_proto
    if model is None:
        raise ExportError(f"expected an ONNX program of this network, got none; {_ONE_BY_ONE}")
    onnx.helper.set_model_props(model, dict(elastic.facts))
    onnx.save_model(model, str(path))


def read_onnx(path: Path, output_spec: Any) -> Callable[[Sequence[int]], nn.Module]:
    """Return what a file computes in ONNX Runtime at given units of each group, as a module.

    Args:
        path: The file.
        output_spec: The structure of the network's outputs.
    """
    runtime = require("onnxruntime", "export")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return lambda units: _InRuntime(session, units, output_spec)


@final
class _InRuntime(nn.Module):
    """Runs a session at given units of each group."""

    def __init__(self, session: Any, units: Sequence[int], output_spec: Any) -> None:
        super().__init__()
        self._session, self._units, self._output_spec = session, units, output_spec

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        leaves = [leaf.detach() for leaf in pytree.tree_leaves((args, kwargs)) if _is_input(leaf)]
        values = [*leaves, *map(torch.tensor, self._units)]
        names = [entry.name for entry in self._session.get_inputs()]
        try:
            feeds = {name: value.numpy() for name, value in zip(names, values, strict=True)}
            outputs = self._session.run(None, feeds)
        except Exception as error:
            # Of a class of the runtime's own.
            raise RuntimeError(str(error)) from error
        return pytree.tree_unflatten([torch.from_numpy(value) for value in outputs], self._output_spec)


@final
class _AtWidths(nn.Module):
    """The network as a function of its inputs and of the units that each group keeps."""

    def __init__(self, elastic: ElasticProgram) -> None:
        super().__init__()
        self._elastic = elastic
        self._names: list[str] = []
        names: dict[int, str] = {}
        for entry, tensor in zip(elastic.program.state, elastic.state, strict=True):
            if id(tensor) not in names:
                names[id(tensor)] = entry.target.replace(".", "_")
                self.register_buffer(names[id(tensor)], tensor.detach().contiguous())
            self._names.append(names[id(tensor)])
        if elastic.statistics is not None:
            self._hold_statistics(elastic.statistics, elastic.program)
        self.corrections = nn.ModuleList(each for every in elastic.corrections.values() for each in every)

    def forward(self, *inputs: Any) -> tuple[Tensor, ...]:
        elastic = self._elastic
        num_units = len(elastic.units)
        given, units = inputs[: len(inputs) - num_units], inputs[len(inputs) - num_units :]
        kept = dict(zip(elastic.units, units, strict=True))
        tensors = iter(given)
        leaves = [next(tensors) if _is_input(leaf) else leaf for leaf in elastic.leaves]
        state: list[Tensor] = []
        for entry, axes, tensor in zip(
            elastic.program.state, elastic.program.axes, self._full_state(units), strict=True
        ):
            part = cut_symbolically(tensor, axes, kept)
            for correction in elastic.corrections.get(entry.target, ()):
                part = correction(part, axes, kept)
            state.append(part)
        sizes = tuple(
            count_symbolically(term, kept) for term in elastic.program.size_terms if not isinstance(term, Formula)
        )
        _, outputs = elastic.program.forward(sizes, *state, *leaves)
        return tuple(outputs)

    def _hold_statistics(self, statistics: Statistics, program: Program) -> None:
        totals = torch.tensor([sum(each) for each in statistics.widths])
        # Between two widths the nearer one serves.
        self.register_buffer("statistics_from", (totals[1:] + totals[:-1] + 1) // 2)
        for entry, name in zip(program.state, self._names, strict=True):
            if entry.target in statistics.values[0]:
                full = statistics.values[-1][entry.target]
                rows = [torch.cat([each[entry.target], full[len(each[entry.target]) :]]) for each in statistics.values]
                self.register_buffer(f"statistics_{name}", torch.stack(rows))

    def _full_state(self, units: Sequence[Any]) -> list[Tensor]:
        held = dict(self.named_buffers())
        if self._elastic.statistics is None:
            return [held[name] for name in self._names]
        row = torch.le(held["statistics_from"], sum(units)).sum().reshape(1)
        return [
            held[f"statistics_{name}"].index_select(0, row).squeeze(0) if f"statistics_{name}" in held else held[name]
            for name in self._names
        ]


def _is_input(leaf: Any) -> bool:
    return isinstance(leaf, Tensor)


def _refuse(elastic: ElasticProgram) -> None:
    """Refuse what has no plain form with widths that are no numbers yet."""
    program = elastic.program
    if any(isinstance(size, Formula) for size in program.size_terms):
        raise ExportError(
            "expected a network without numbers that follow from widths, such as 1 / sqrt(width), got some; "
            f"{_ONE_BY_ONE}"
        )
    if program.trace.prologue is not None:
        raise ExportError(f"expected a network without spectral norms, got one whose weights have some; {_ONE_BY_ONE}")
    for node in program.graph.nodes:
        if overload_name(node.target).partition(".")[0] in _RECURRENT:
            raise ExportError(
                "expected a network without recurrent layers, whose width ONNX has as a constant, got "
                f"{node.target}; {_ONE_BY_ONE}"
            )
        if isinstance(node.target, Nested) or find_protected_devices(node):
            raise ExportError(f"expected a network of plain operators, got {node.target}; {_ONE_BY_ONE}")
    if not all(isinstance(leaf, fx.Node) for leaf in program.trace.outputs):
        raise ExportError(f"expected a network that returns tensors alone, got another output; {_ONE_BY_ONE}")


def _first_line(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
