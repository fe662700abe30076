"""What an export format is: a writer, and a reader that gives back what stands in the file as something to call."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import fx, nn
from torch.export import Dim
from torch.utils import _pytree as pytree

from widthwise._shared import ExportError
from widthwise.graph import Example, silence

__all__ = ["Format", "Plain", "Reader", "export_program", "find_reason"]

Reader = Callable[[Example], list[Any]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Plain:
    """A plain network with what a writer must know of it.

    Attributes:
        net: In evaluation mode.
        example: Inputs of at least two samples.
        batch_axes: The batch axis of each input leaf, or None.
        facts: Where the network comes from.
    """

    net: nn.Module
    example: Example
    batch_axes: Sequence[int | None]
    facts: Mapping[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Format:
    """A file format.

    Attributes:
        write: Writes a network to a path.
        read: Returns what a file computes, as a function from inputs to output leaves. Formats that hold weights alone
            put them into a copy of the network.
    """

    write: Callable[[Plain, Path], None]
    read: Callable[[Plain, Path], Reader]


def find_reason(error: BaseException) -> str:
    """Return the first line of the error that an error came from."""
    while error.__cause__ is not None:
        error = error.__cause__
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def export_program(plain: Plain) -> torch.export.ExportedProgram:
    """Return the network's program with a dynamic batch, without the places in the source that it was traced from.

    Raises:
        ExportError: torch.export cannot express it.
    """
    batch = Dim("batch")
    leaves, spec = pytree.tree_flatten((plain.example.args, plain.example.kwargs))
    marks = [
        {axis: batch} if isinstance(leaf, torch.Tensor) and axis is not None else None
        for leaf, axis in zip(leaves, plain.batch_axes, strict=True)
    ]
    args, kwargs = pytree.tree_unflatten(marks, spec)
    try:
        with silence():
            program = torch.export.export(
                _Positional(plain.net, list(kwargs)),
                (*plain.example.args, *plain.example.kwargs.values()),
                dynamic_shapes={"inputs": (*args, *kwargs.values())},
                strict=False,
            )
    except Exception as error:
        raise ExportError(
            f"expected a network that torch.export can write with any batch size, got: {find_reason(error)}; export "
            ".safetensors instead"
        ) from error
    for module in program.graph_module.modules():
        for node in module.graph.nodes if isinstance(module, fx.GraphModule) else ():
            # They hold paths of this machine, which formats would write down.
            node.meta.pop("stack_trace", None)
    return program


class _Positional(nn.Module):
    """Hands the last inputs on by keyword, so that any mix of inputs exports alike."""

    def __init__(self, net: nn.Module, names: list[str]) -> None:
        super().__init__()
        self.net = net
        self._names = names

    def forward(self, *inputs: Any) -> Any:
        num_args = len(inputs) - len(self._names)
        return self.net(*inputs[:num_args], **dict(zip(self._names, inputs[num_args:], strict=True)))
