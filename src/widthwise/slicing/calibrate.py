"""BatchNorm recalibration: statistics measured again at the width that is taken home.

At another width a unit sees other inputs, so the running statistics of the full network are wrong for it (US-Nets
[Yu & Huang 2019, section 3.3]; Once-for-All uses 2,000 images). Each normalisation is run on the statistics of its
batch, which are averaged over its calls with equal weight, as PyTorch does with momentum=None. Works on the traced
graph, so it needs no BatchNorm module and touches no mode.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, fx

from widthwise._shared import DataError
from widthwise.graph import arguments_by_name, overload_name
from widthwise.slicing.program import Program

__all__ = ["NUM_SAMPLES", "has_batch_norm", "recalibrate"]

NUM_SAMPLES = 2048
_BATCH_NORM = "aten::batch_norm.default"
_INFERENCE_NORM = "aten::_native_batch_norm_legit_no_training.default"


def has_batch_norm(program: Program) -> bool:
    """Return whether the traced network (in evaluation mode) normalises by running statistics."""
    return any(_is_norm(node) for node in program.graph.nodes)


@torch.no_grad()
def recalibrate(
    program: Program, sizes: Sequence[int], state: Sequence[Tensor], batches: Iterable[Sequence[Any]]
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
        raise DataError("calibration needs at least one batch, got an empty loader; pass training samples")
    return {target: total / interpreter.num_calls[target] for target, total in interpreter.totals.items()}


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
        x = given["input"]
        if math.prod(x.shape) == x.shape[1]:
            raise DataError(
                f"calibration needs more than one value per channel in every batch, got shape {tuple(x.shape)}; "
                "use larger batches (drop_last=True of a DataLoader leaves out a last batch of one sample)"
            )
        axes = [axis for axis in range(x.dim()) if axis != 1]
        for argument, value in (("running_mean", x.mean(axes)), ("running_var", x.var(axes, unbiased=True))):
            source = named[argument]
            target = self._targets[source.name]
            self.totals[target] = self.totals[target] + value if target in self.totals else value
            self.num_calls[target] = self.num_calls.get(target, 0) + 1
        y = torch.nn.functional.batch_norm(x, None, None, given["weight"], given["bias"], True, 0.0, given["eps"])
        return y if overload_name(n.target) == _BATCH_NORM else (y, None, None)


def _is_norm(node: fx.Node) -> bool:
    """Whether a node normalises by running statistics."""
    if overload_name(node.target) != _BATCH_NORM:
        return overload_name(node.target) == _INFERENCE_NORM
    named = arguments_by_name(node)
    return not named["training"] and named["running_mean"] is not None
