"""The small network as a plain module: its own class where that computes the same, else its graph.

Both hold copies of the kept parameters and need nothing but torch. The own class is a deep copy whose parameters are
replaced and whose sizes are set to match; it is returned only if it gives the numbers of the graph, since code with
literal sizes in it would not.
"""

import copy
import inspect
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.export.graph_signature import InputKind
from torch.fx import graph as fx_graph
from torch.fx import node as fx_node
from torch.utils import _pytree as pytree

from widthwise.graph import Example, state_tensor
from widthwise.slicing.attributes import set_sizes
from widthwise.slicing.functions import use_functions
from widthwise.slicing.program import Kept, Program

__all__ = ["build_graph_module", "build_own_class", "same_outputs"]

_TOLERANCES = {torch.float64: 1e-12, torch.float32: 1e-5}


def build_graph_module(
    net: nn.Module, program: Program, kept: Kept, state: Mapping[str, Tensor], example: Example
) -> fx.GraphModule:
    """Return the program at one kept set as a module: sizes are constants, the state is held under its own names.

    Args:
        net: The full network.
        program: It, traced in evaluation mode.
        kept: The kept set of each atom.
        state: The sliced tensors by name; tied names share one tensor.
        example: What a call of the network looks like.
    """
    saved = net.state_dict(keep_vars=True).keys()
    module = fx.GraphModule(nn.Module(), fx.Graph())
    for target, tensor in state.items():
        _register(module, target, tensor, persistent=target in saved)
    graph = _freeze_sizes(program, program.sizes(kept))
    _set_structure(graph, net, example, program.trace.output_spec)
    module.graph = graph
    return module.eval()


def build_own_class(
    net: nn.Module, program: Program, kept: Kept, state: Mapping[str, Tensor], *, set_attributes: bool
) -> nn.Module | None:
    """Return a copy of a network whose parameters are the sliced ones and whose layers say their new sizes.

    Parameters that the trace did not reach are copied whole.

    Args:
        net: The full network.
        program: It, traced in evaluation mode.
        kept: The kept set of each atom.
        state: The sliced tensors by name.
        set_attributes: Also set whole numbers that modules other than PyTorch's own remember, where the trace shows
            that an operator of that module takes them as a size.

    Returns:
        The copy; None where the network cannot be copied.
    """
    memo: dict[int, Any] = {
        id(state_tensor(net, entry.target)): state[entry.target]
        for entry in program.state
        if entry.kind in (InputKind.PARAMETER, InputKind.BUFFER)
    }
    try:
        small = copy.deepcopy(net, memo)
    except (TypeError, ValueError, RuntimeError, AttributeError):
        return None
    resized = program.module_sizes(kept)
    for path, module in small.named_modules():
        set_sizes(module, resized.get(path, []), own_attributes=set_attributes)
    return small.eval()


@torch.no_grad()
def same_outputs(one: nn.Module, other: nn.Module, example: Example) -> bool:
    """Return whether two modules agree on the example and on random inputs of its shapes.

    They agree within rounding relative to the largest entry: 1e-12 in float64, 1e-5 in float32.
    """
    generator = torch.Generator().manual_seed(0)

    def redraw(leaf: Any) -> Any:
        if not isinstance(leaf, Tensor) or not leaf.is_floating_point():
            return leaf
        return torch.randn(leaf.shape, generator=generator, device="cpu").to(leaf)

    args, kwargs = pytree.tree_map(redraw, (example.args, example.kwargs))
    try:
        return all(_same_call(one, other, inputs) for inputs in (example, Example(args=args, kwargs=kwargs)))
    except (RuntimeError, ValueError, TypeError, IndexError, AttributeError, AssertionError):
        return False


def _same_call(one: nn.Module, other: nn.Module, inputs: Example) -> bool:
    left, left_spec = pytree.tree_flatten(one(*inputs.args, **inputs.kwargs))
    right, right_spec = pytree.tree_flatten(other(*inputs.args, **inputs.kwargs))
    return left_spec == right_spec and all(_agree(a, b) for a, b in zip(left, right, strict=True))


def _agree(one: Any, other: Any) -> bool:
    if not isinstance(one, Tensor) or not isinstance(other, Tensor):
        return one is other or (type(one) is type(other) and one == other)
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    if not one.is_floating_point():
        return torch.equal(one, other)
    finite = torch.isfinite(one)
    if not torch.equal(one[~finite].nan_to_num(), other[~finite].nan_to_num()):
        return False
    size, gap = one[finite].abs(), (one - other)[finite].abs()
    return not len(gap) or bool(gap.max() <= _TOLERANCES.get(one.dtype, 1e-2) * max(float(size.max()), 1e-30))


def _freeze_sizes(program: Program, sizes: tuple[int, ...]) -> fx.Graph:
    """Copy a program's graph with numbers in place of its table and attributes in place of its state."""
    graph = fx.Graph()
    table = next(iter(program.graph.nodes))
    targets = {entry.placeholder: entry.target for entry in program.state}
    copies: dict[fx.Node, Any] = {}
    for node in program.graph.nodes:
        if node is table:
            continue
        if node.op == "placeholder" and node.name in targets:
            copies[node] = graph.get_attr(targets[node.name])
        elif node.args and node.args[0] is table:
            copies[node] = sizes[node.args[1]]
        elif node.op == "output":
            graph.output(fx_node.map_arg(node.args[0][1], lambda old: copies[old]))
        else:
            copies[node] = graph.node_copy(node, lambda old: copies[old])
            copies[node].meta = {}
    graph.eliminate_dead_code()
    return use_functions(graph)


def _register(root: nn.Module, target: str, tensor: Tensor, *, persistent: bool) -> None:
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


def _set_structure(graph: fx.Graph, net: nn.Module, example: Example, output_spec: Any) -> None:
    """Let the module take and return the nested structures of the network rather than flat leaves."""
    parameters = inspect.signature(net.forward).parameters.values()
    names = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    names += [f"input_{i}" for i in range(len(names), len(example.args))]
    _, input_spec = pytree.tree_flatten((example.args, example.kwargs))
    names = [*names[: len(example.args)], *example.kwargs]
    info = fx_graph._PyTreeInfo(names, input_spec, output_spec)  # pyright: ignore[reportPrivateUsage]
    graph.set_codegen(fx_graph._PyTreeCodeGen(info))  # pyright: ignore[reportPrivateUsage]
