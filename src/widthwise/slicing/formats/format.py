"""What an export format is: a writer, and a reader that gives back what stands in the file as something to call."""

import io
import json
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
from widthwise.slicing.finish.dtype import FLOATING, DtypeName

__all__ = [
    "FACTS", "Format", "Plain", "Reader", "export_program", "find_reason", "read_json_facts",
    "write_bytes", "write_saved",
]  # fmt: skip

FACTS = "widthwise.json"
"""The name under which formats that hold several files keep where they come from."""
Reader = Callable[[Example], list[Any]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Plain:
    """A plain network with what a writer must know of it.

    Attributes:
        net: In evaluation mode, its weights those of the file but for int8.
        example: Inputs of at least two samples.
        batch_axes: The batch axis of each input leaf, or None.
        facts: Where the network comes from.
        dtype: To which the weights were converted, or for int8 are by the writer; None for those of the network.
        calibration: Inputs from which a quantiser takes the range of activations; none lets it measure at run time.
    """

    net: nn.Module
    example: Example
    batch_axes: Sequence[int | None]
    facts: Mapping[str, str]
    dtype: DtypeName | None = None
    calibration: Sequence[Example] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Format:
    """A file format.

    Attributes:
        write: Writes a network to a path, and what goes with the file beside it.
        read: Returns what a file computes, as a function from inputs to output leaves. Formats that hold weights alone
            put them into a copy of the network.
        read_facts: Returns the facts of a file, nothing for one of another maker.
        dtypes: Those in which its files can hold weights.
        is_folder: Whether it is a folder of files.
        max_batch: The most samples that a file runs on at once; None for any number.
    """

    write: Callable[[Plain, Path], None]
    read: Callable[[Plain, Path], Reader]
    read_facts: Callable[[Path], dict[str, str]] = lambda _: {}
    dtypes: Sequence[DtypeName] = FLOATING
    is_folder: bool = False
    max_batch: int | None = None


def read_json_facts(content: bytes | str) -> dict[str, str]:
    """Return the facts in a JSON text; nothing where it holds none."""
    try:
        found: object = json.loads(content)
    except ValueError:
        return {}
    return {str(name): str(fact) for name, fact in found.items()} if isinstance(found, dict) else {}


def write_bytes(path: Path, *parts: bytes | memoryview) -> None:
    """Write a file. All but one of the formats come here with what they hold, so that a full disk looks the same."""
    with path.open("wb") as file:
        for part in parts:
            file.write(part)


def write_saved(path: Path, save: Callable[[io.BytesIO], object]) -> None:
    """Write what torch saves; to a path it writes by itself, and says of a full disk no more than that it failed."""
    content = io.BytesIO()
    save(content)
    write_bytes(path, content.getbuffer())


def find_reason(error: BaseException) -> str:
    """Return the first line of the error that an error came from."""
    while error.__cause__ is not None:
        error = error.__cause__
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def export_program(plain: Plain, *, max_batch: int | None = None) -> torch.export.ExportedProgram:
    """Return the network's program with a dynamic batch, without the places in the source that it was traced from.

    Args:
        plain: The network.
        max_batch: The most samples that it shall run on; None for any number.

    Raises:
        ExportError: torch.export cannot express it.
    """
    batch = Dim("batch", max=max_batch)
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
