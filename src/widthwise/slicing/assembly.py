"""What makes a graph of plain operators a module: tensors under their names, nested inputs and outputs, a check."""

import inspect
import operator
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.fx import graph as fx_graph
from torch.utils import _pytree as pytree

from widthwise.graph import Example

__all__ = ["name_inputs", "refuse_fewer", "register", "set_structure"]


def register(root: nn.Module, target: str, tensor: Tensor, *, persistent: bool) -> None:
    """Hold a tensor under a dotted name, with modules on the way to it; a parameter as one, others as buffers."""
    *path, name = target.split(".")
    module = root
    for part in path:
        if part not in dict(module.named_children()):
            module.add_module(part, nn.Module())
        module = module.get_submodule(part)
    if isinstance(tensor, nn.Parameter):
        module.register_parameter(name, tensor)
    else:
        module.register_buffer(name, tensor, persistent=persistent)


def refuse_fewer(graph: fx.Graph, smallest: int, batch_axes: Sequence[int | None]) -> None:
    """Let a graph refuse batches of fewer than `smallest` samples; in place."""
    inputs = list(graph.find_nodes(op="placeholder"))
    leaf, axis = next((leaf, axis) for leaf, axis in zip(inputs, batch_axes, strict=True) if axis is not None)
    message = f"the batch must hold {smallest} samples or more, since the network does something else for fewer"
    with graph.inserting_after(inputs[-1]):
        size = graph.call_function(torch.ops.aten.sym_size.int, (leaf, axis))
    with graph.inserting_after(size):
        fits = graph.call_function(operator.ge, (size, smallest))
    with graph.inserting_after(fits):
        graph.call_function(torch._assert, (fits, message))  # pyright: ignore[reportPrivateUsage]


def name_inputs(net: nn.Module, example: Example) -> list[str]:
    """Return the names of a call's inputs as the network's forward has them, positional ones first."""
    parameters = inspect.signature(net.forward).parameters.values()
    names = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    names += [f"input_{i}" for i in range(len(names), len(example.args))]
    return [*names[: len(example.args)], *example.kwargs]


def set_structure(graph: fx.Graph, names: Sequence[str], inputs: Example, output_spec: Any) -> None:
    """Let a graph take and return nested structures rather than flat leaves; in place.

    Args:
        graph: With a placeholder for each leaf of the inputs.
        names: Of the inputs, positional ones first.
        inputs: Whatever has the structure of a call's inputs.
        output_spec: The structure of the outputs.
    """
    _, input_spec = pytree.tree_flatten((inputs.args, inputs.kwargs))
    info = fx_graph._PyTreeInfo(list(names), input_spec, output_spec)  # pyright: ignore[reportPrivateUsage]
    graph.set_codegen(fx_graph._PyTreeCodeGen(info))  # pyright: ignore[reportPrivateUsage]
