"""BatchNorm recalibration: statistics measured again at the width that is taken home.

At another width a unit sees other inputs, so the running statistics of the full network are wrong for it (US-Nets
[Yu & Huang 2019, section 3.3]; Once-for-All uses 2,000 images). Each normalisation is run on the statistics of its
batch, which are averaged over its calls with equal weight, as PyTorch does with momentum=None. Works on the traced
graph, or on a module by watching the functions that it calls; so it needs no BatchNorm module and touches no mode.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm as BatchNorm  # pyright: ignore[reportPrivateUsage]
from torch.overrides import TorchFunctionMode

from widthwise._shared import DataError
from widthwise.graph import Example, arguments_by_name, overload_name
from widthwise.slicing.running.program import Program

__all__ = [
    "NUM_SAMPLES", "find_statistics", "has_batch_norm", "keeps_statistics", "recalibrate", "recalibrate_module",
]  # fmt: skip

NUM_SAMPLES = 2048
_BATCH_NORM = "aten::batch_norm.default"
_INFERENCE_NORM = "aten::_native_batch_norm_legit_no_training.default"
_NO_BATCH = "calibration needs at least one batch, got an empty loader; pass training samples"
_ARGUMENTS = ("input", "weight", "bias", "running_mean", "running_var")
# What modules and graphs call to normalise a batch, with the names of their arguments by position.
_FUNCTIONS: dict[Any, tuple[str, ...]] = {
    functional.batch_norm: (
        "input", "running_mean", "running_var", "weight", "bias", "training", "momentum", "eps",
    ),
    torch.batch_norm: (*_ARGUMENTS, "training", "momentum", "eps", "cudnn_enabled"),
    torch.ops.aten.batch_norm.default: (*_ARGUMENTS, "training", "momentum", "eps", "cudnn_enabled"),
    torch.ops.aten._native_batch_norm_legit_no_training.default: (*_ARGUMENTS, "momentum", "eps"),
}  # fmt: skip


def has_batch_norm(program: Program) -> bool:
    """Return whether the traced network (in evaluation mode) normalises by running statistics."""
    return any(_is_norm(node) for node in program.graph.nodes)


def find_statistics(program: Program) -> list[str]:
    """Return the names of the running statistics by which the traced network (in evaluation mode) normalises."""
    targets = {entry.placeholder: entry.target for entry in program.state}
    norms = [arguments_by_name(node) for node in program.graph.nodes if _is_norm(node)]
    sources = [named[argument].name for named in norms for argument in ("running_mean", "running_var")]
    return list(dict.fromkeys(targets[source] for source in sources))


def keeps_statistics(net: nn.Module) -> bool:
    """Return whether a network that is not traced has a batch norm with running statistics."""
    norms = [module for module in net.modules() if isinstance(module, BatchNorm)]
    return any(norm.running_mean is not None for norm in norms)


@torch.no_grad()
def recalibrate(
    program: Program, sizes: Sequence[int | float], state: Sequence[Tensor], batches: Iterable[Sequence[Any]]
) -> dict[str, Tensor]:
    """Return running statistics measured at these sizes, by the name of the buffer.

    Args:
        program: The network traced in evaluation mode.
        sizes: Its table of sizes.
        state: Its sliced state.
        batches: Input leaves of each batch.

    Raises:
        DataError: There is no batch, or one of them has a single value per channel.
    """
    interpreter = _Recalibration(program)
    num_batches = 0
    for leaves in batches:
        interpreter.run(sizes, *state, *leaves)
        num_batches += 1
    if num_batches == 0:
        raise DataError(_NO_BATCH)
    return {target: total / interpreter.num_calls[target] for target, total in interpreter.totals.items()}


@torch.no_grad()
def recalibrate_module(net: nn.Module, batches: Iterable[Example]) -> None:
    """Measure the running statistics of a module anew, in place.

    Args:
        net: In evaluation mode; a norm that is called several times takes the average of its calls.
        batches: The inputs of each batch.

    Raises:
        DataError: There is no batch, or one of them has a single value per channel.
    """
    watch = _Watch()
    num_batches = 0
    for inputs in batches:
        with watch:
            net(*inputs.args, **inputs.kwargs)
        num_batches += 1
    if num_batches == 0:
        raise DataError(_NO_BATCH)
    watch.write()


class _Recalibration(fx.Interpreter):
    """Runs the graph with each batch norm in training mode and sums up the statistics it used."""

    def __init__(self, program: Program) -> None:
        super().__init__(program.module)
        self.extra_traceback = False
        self.totals: dict[str, Tensor] = {}
        self.num_calls: dict[str, int] = {}
        self._targets = {entry.placeholder: entry.target for entry in program.state}

    def run_node(self, n: fx.Node) -> Any:
        """Run one node; a batch norm on the statistics of its batch."""
        if not _is_norm(n):
            return super().run_node(n)
        named = arguments_by_name(n)
        given: dict[str, Any] = fx.map_arg(named, lambda source: self.env[source])
        for argument, value in _measure(given["input"]).items():
            source = named[argument]
            target = self._targets[source.name]
            self.totals[target] = self.totals[target] + value if target in self.totals else value
            self.num_calls[target] = self.num_calls.get(target, 0) + 1
        y = _normalize(given)
        return y if overload_name(n.target) == _BATCH_NORM else (y, None, None)


class _Watch(TorchFunctionMode):
    """Has every batch norm that is called use the statistics of its batch, and averages these per running mean."""

    def __init__(self) -> None:
        super().__init__()
        self._calls: dict[int, list[tuple[Tensor, Tensor]]] = {}
        self._buffers: dict[int, tuple[Tensor, Tensor]] = {}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call a function; a batch norm on the statistics of its batch."""
        given = {**dict(zip(_FUNCTIONS.get(func, ()), args, strict=False)), **(kwargs or {})}
        if func not in _FUNCTIONS or given.get("training") or given["running_mean"] is None:
            return func(*args, **(kwargs or {}))
        mean, variance = given["running_mean"], given["running_var"]
        measured = _measure(given["input"])
        self._buffers[id(mean)] = mean, variance
        self._calls.setdefault(id(mean), []).append((measured["running_mean"], measured["running_var"]))
        y = _normalize(given)
        return y if "training" in _FUNCTIONS[func] else (y, None, None)

    def write(self) -> None:
        """Put the averages in the place of the running statistics."""
        for key, buffers in self._buffers.items():
            for buffer, values in zip(buffers, zip(*self._calls[key], strict=True), strict=True):
                buffer.copy_(torch.stack(values).mean(0))


def _measure(x: Tensor) -> dict[str, Tensor]:
    """Return the statistics of a batch by the argument of a batch norm that takes them.

    Raises:
        DataError: It has a single value per channel.
    """
    if math.prod(x.shape) == x.shape[1]:
        raise DataError(
            f"calibration needs more than one value per channel in every batch, got shape {tuple(x.shape)}; "
            "use larger batches (drop_last=True of a DataLoader leaves out a last batch of one sample)"
        )
    axes = [axis for axis in range(x.dim()) if axis != 1]
    return {"running_mean": x.mean(axes), "running_var": x.var(axes, unbiased=True)}


def _normalize(given: Mapping[str, Any]) -> Tensor:
    eps = given.get("eps", 1e-5)
    return functional.batch_norm(given["input"], None, None, given.get("weight"), given.get("bias"), True, 0.0, eps)


def _is_norm(node: fx.Node) -> bool:
    """Whether a node normalises by running statistics."""
    if overload_name(node.target) != _BATCH_NORM:
        return overload_name(node.target) == _INFERENCE_NORM
    named = arguments_by_name(node)
    return not named["training"] and named["running_mean"] is not None
