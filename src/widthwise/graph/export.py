"""Hand a network to torch.export with its input axes dynamic."""

import copy
import inspect
import io
import logging
import threading
import traceback
import warnings
from collections.abc import Generator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.export import Dim, ExportedProgram
from torch.utils import _pytree as pytree

from widthwise._shared import TraceError
from widthwise.graph.autocast import mark_regions
from widthwise.graph.checkpoint import plain_checkpoints
from widthwise.graph.example import Example
from widthwise.graph.functional import inline_regions, is_simple, make_functional
from widthwise.graph.gradients import note_gradients, stop_gradients
from widthwise.graph.instance_norm import write_out_updates

__all__ = [
    "FixedAxes",
    "check_runs",
    "enlarge_batch",
    "export_functional",
    "export_network",
    "find_image_axes",
    "silence",
]

_MACHINERY = (Path(torch.__file__).parent, Path(__file__).parents[1])

FixedAxes = frozenset[tuple[int, int]]

_WAYS_OUT = (
    'name the part that can be traced with submodule="...", name the widths with groups=[...], or place '
    "ww.StructuralDropout by hand"
)

_SILENT = threading.RLock()


def export_network(
    net: nn.Module,
    example: Example,
    fixed: FixedAxes = frozenset(),
    batched: FixedAxes = frozenset(),
    *,
    strict: bool = False,
) -> ExportedProgram:
    """Return the exported and functionalised program of a network.

    Args:
        net: The network, in the mode it is in.
        example: Inputs of one call.
        fixed: Input axes that keep the example's size, as (leaf, axis); so do axes of size 1, all others are dynamic.
        batched: Input axes that are to be one and the same dynamic size, where the trace may not find that by itself.
        strict: Whether torch.export reads the Python of the network instead of running it.

    Raises:
        TraceError: torch.export cannot trace the network.
    """
    dynamic = _by_name(net, _mark_axes(example, fixed, batched))
    try:
        return export_functional(net, example, dynamic, strict=strict)
    except TraceError:
        raise
    except Exception as error:
        check_runs(net, example)
        raise TraceError(
            f"torch.export must be able to trace {type(net).__name__}, got{_find_place(error)}: {_summarize(error)}; "
            f"rewrite what it names, {'' if strict else 'try strict=True, '}{_WAYS_OUT}"
        ) from error


def export_functional(net: nn.Module, example: Example, dynamic: Any, *, strict: bool) -> ExportedProgram:
    """Return the exported and functionalised program of a network; raises whatever torch.export does.

    Args:
        net: The network, in the mode it is in.
        example: Inputs of one call.
        dynamic: What each of their axes is to be, as torch.export takes it.
        strict: Whether torch.export reads the Python of the network instead of running it.
    """
    with silence():
        with plain_checkpoints(), note_gradients():
            program = torch.export.export(net, example.args, example.kwargs, dynamic_shapes=dynamic, strict=strict)
        mark_regions(program.graph_module)
        inline_regions(program.graph_module)
        stop_gradients(program.graph_module, program.graph_signature.inputs_to_parameters)
        if not is_simple(program.graph):
            return program.run_decompositions({torch.ops.aten.instance_norm.default: write_out_updates})
        make_functional(program.graph)
        return program


@contextmanager
def silence() -> Generator[None]:
    """Keep tracing from writing: warnings, logs, and the pages that it prints about a failure.

    All of them belong to the whole process, so that one thread at a time is silent.
    """
    with _SILENT:
        disabled = logging.root.manager.disable
        logging.disable(logging.CRITICAL)
        try:
            with warnings.catch_warnings(), redirect_stderr(io.StringIO()), redirect_stdout(io.StringIO()):
                warnings.simplefilter("ignore")
                yield
        finally:
            logging.disable(disabled)


def enlarge_batch(example: Example, batch_dim: int, num_copies: int) -> Example:
    """Repeat the batch of every input that is as long as that of the first one, at least until it is longer than 1.

    Raises:
        TraceError: No input has such an axis, or it is empty.
    """
    tensors = [leaf for leaf in example.leaves() if isinstance(leaf, torch.Tensor) and leaf.dim() > batch_dim]
    if not tensors or tensors[0].shape[batch_dim] == 0:
        got = f"the shape {tuple(tensors[0].shape)}" if tensors else "none"
        raise TraceError(
            f"example_inputs must hold a tensor with at least one sample along axis {batch_dim}, got {got}; "
            "give an example of two samples, or say which axis is the batch with batch_dim="
        )
    batch = tensors[0].shape[batch_dim]
    copies = num_copies * (2 if batch == 1 else 1)

    def repeat(leaf: Any) -> Any:
        is_tensor = isinstance(leaf, torch.Tensor) and leaf.dim() > batch_dim
        if copies == 1 or not is_tensor or leaf.shape[batch_dim] != batch:
            return leaf
        return torch.cat([leaf] * copies, dim=batch_dim)

    args, kwargs = pytree.tree_map(repeat, (example.args, example.kwargs))
    return Example(args=args, kwargs=kwargs)


def check_runs(net: nn.Module, example: Example) -> None:
    """Refuse a network that does not even run on its example; a copy of it is run, since that may change buffers.

    Raises:
        TraceError: It does not.
    """
    try:
        with torch.no_grad(), silence():
            net = copy.deepcopy(net)
            net(*example.args, **example.kwargs)
    except Exception as error:
        raise TraceError(
            f"{type(net).__name__} must run on example_inputs, got{_find_place(error)}: {_summarize(error)}; "
            "give the inputs of one call that works"
        ) from error


def _summarize(error: Exception) -> str:
    """Return the first line of an error."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def _find_place(error: Exception) -> str:
    """Return " at file.py:12", the innermost line that is neither torch's nor ours; "" where there is none."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not _is_machinery(frame.filename)]
    return f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""


def _is_machinery(filename: str) -> bool:
    return filename.startswith("<") or any(root in Path(filename).parents for root in _MACHINERY)


def find_image_axes(example: Example, batch_dim: int) -> FixedAxes:
    """Return the axes, as (leaf, axis), of images and volumes: those of inputs of four axes and more, but the batch.

    What other inputs share with them (a mask over the tokens of a sequence) is no size of an image.
    """
    leaves = [leaf if isinstance(leaf, torch.Tensor) else torch.empty(0) for leaf in example.leaves()]
    lengths = {size for leaf in leaves if leaf.dim() < 4 for axis, size in enumerate(leaf.shape) if axis != batch_dim}
    return frozenset(
        (index, axis)
        for index, leaf in enumerate(leaves)
        for axis, size in enumerate(leaf.shape)
        if leaf.dim() >= 4 and axis != batch_dim and size not in lengths
    )


def _by_name(net: nn.Module, example: Example) -> dict[str, Any]:
    """Return the inputs by the names in the signature of forward, as torch.export asks for dynamic shapes."""
    signature = inspect.signature(net.forward)
    try:
        named = signature.bind(*example.args, **example.kwargs).arguments
    except TypeError as error:
        raise TraceError(
            f"example_inputs must fit forward{signature} of {type(net).__name__}, got {len(example.args)} positional "
            f"and keywords {sorted(example.kwargs)} ({error}); give the inputs of one call"
        ) from error
    for name in named:
        if signature.parameters[name].kind is inspect.Parameter.VAR_KEYWORD:
            raise TraceError(
                f"inputs must be named in forward{signature} of {type(net).__name__}, got {sorted(named[name])} as "
                f"**{name}, which torch.export cannot trace; wrap the network in a module whose forward names them"
            )
    return named


def _mark_axes(example: Example, fixed: FixedAxes, batched: FixedAxes) -> Example:
    """Return the example with each tensor replaced by what each of its axes is to be."""
    batch = Dim("batch")

    def mark(index: int, axis: int, size: int) -> Any:
        if (index, axis) in batched:
            return batch
        return Dim.STATIC if size == 1 or (index, axis) in fixed else Dim.AUTO

    leaves, spec = pytree.tree_flatten((example.args, example.kwargs))
    marks = [
        {axis: mark(index, axis, size) for axis, size in enumerate(leaf.shape)}
        if isinstance(leaf, torch.Tensor)
        else None
        for index, leaf in enumerate(leaves)
    ]
    args, kwargs = pytree.tree_unflatten(marks, spec)
    return Example(args=args, kwargs=kwargs)
