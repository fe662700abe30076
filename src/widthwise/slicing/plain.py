"""The small network as its graph, a plain module that needs nothing but torch; and whether another one is the same."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.fx import node as fx_node
from torch.utils import _pytree as pytree

from widthwise.graph import Example, Nested, silence
from widthwise.slicing.assembly import name_inputs, refuse_fewer, register, set_structure
from widthwise.slicing.running.functions import use_functions
from widthwise.slicing.running.program import Kept, Program
from widthwise.slicing.running.protect import protect_by_torch

__all__ = ["Agreement", "build_graph_module", "lengthen", "same_outputs"]

_TOLERANCES = {torch.float64: 1e-12, torch.float32: 1e-5}
# No slack lets this much of the largest entry pass.
_WORST = 0.1
# What a network may raise for inputs or attributes that it cannot run with.
_FAILURES = (RuntimeError, ValueError, TypeError, LookupError, AttributeError, AssertionError, ArithmeticError)


def build_graph_module(
    net: nn.Module,
    program: Program,
    kept: Kept,
    state: Mapping[str, Tensor],
    example: Example,
    *,
    smallest: int = 1,
    batch_axes: Sequence[int | None] = (),
) -> fx.GraphModule:
    """Return the program at one kept set as a module: sizes are constants, the state is held under its own names.

    Args:
        net: The full network.
        program: It, traced in evaluation mode.
        kept: The kept set of each atom.
        state: The sliced tensors by name; tied names share one tensor.
        example: What a call of the network looks like.
        smallest: The fewest samples for which the trace holds; the module refuses fewer.
        batch_axes: The batch axis of each input leaf, or None.
    """
    saved = net.state_dict(keep_vars=True).keys()
    module = fx.GraphModule(nn.Module(), fx.Graph())
    for target, tensor in state.items():
        register(module, target, tensor, persistent=target in saved)
    graph = _freeze_sizes(program, program.sizes(kept), module)
    if smallest > 1:
        refuse_fewer(graph, smallest, batch_axes)
    set_structure(graph, name_inputs(net, example), example, program.trace.output_spec)
    module.graph = graph
    return module.eval()


class Agreement:
    """Knows what a network computes on a few inputs, to compare others with it.

    These are the example, random inputs of its shapes and such inputs of another batch size, as far as the network
    takes them.

    Args:
        module: The network that is right.
        example: What a call of it looks like.
        batch_axes: The batch axis of each input leaf, or None.
        slack: How many times the rounding of `holds` is let pass.
    """

    def __init__(
        self, module: nn.Module, example: Example, batch_axes: Sequence[int | None] = (), *, slack: float = 1.0
    ) -> None:
        self._slack = slack
        generator = torch.Generator().manual_seed(0)
        drawn = _map_leaves(example, [_redraw(leaf, generator) for leaf in example.leaves()])
        batches = [example, drawn, lengthen(drawn, batch_axes)]
        self._expected = [
            (inputs, outputs)
            for inputs in batches
            if (outputs := _call(module, inputs)) is not None or inputs is example
        ]

    def holds(self, module: nn.Module) -> bool:
        """Return whether a network gives the same, within rounding relative to the largest entry.

        Rounding is 1e-12 in float64 and 1e-5 in float32.
        """
        return all(_same(_call(module, inputs), expected, self._slack) for inputs, expected in self._expected)


def lengthen(example: Example, batch_axes: Sequence[int | None]) -> Example:
    """Return inputs of two samples more, the first ones again."""
    axes = [*batch_axes, *(None,) * len(example.leaves())]
    return _map_leaves(example, [_lengthen(leaf, axis) for leaf, axis in zip(example.leaves(), axes, strict=False)])


def same_outputs(one: nn.Module, other: nn.Module, example: Example) -> bool:
    """Return whether two modules agree on the example and on random inputs of its shapes."""
    return Agreement(other, example).holds(one)


@torch.no_grad()
def _call(module: nn.Module, inputs: Example) -> tuple[list[Any], Any] | None:
    try:
        # torch compiles branches and loops as it meets them, and writes about those that do not fit.
        with silence():
            return pytree.tree_flatten(module(*inputs.args, **inputs.kwargs))
    except _FAILURES:
        return None


def _same(one: tuple[list[Any], Any] | None, other: tuple[list[Any], Any] | None, slack: float) -> bool:
    if one is None or other is None or one[1] != other[1]:
        return False
    return all(_agree(a, b, slack) for a, b in zip(one[0], other[0], strict=True))


def _map_leaves(example: Example, leaves: list[Any]) -> Example:
    spec = pytree.tree_structure((example.args, example.kwargs))
    args, kwargs = pytree.tree_unflatten(leaves, spec)
    return Example(args=args, kwargs=kwargs)


def _redraw(leaf: Any, generator: torch.Generator) -> Any:
    """Random numbers in place of a tensor; of whole numbers, those between the smallest and the largest of them."""
    if not isinstance(leaf, Tensor) or leaf.is_complex() or not leaf.numel():
        return leaf
    if leaf.is_floating_point():
        return torch.randn(leaf.shape, generator=generator, device="cpu").to(leaf)
    low, high = int(leaf.min()), int(leaf.max())
    return torch.randint(low, high + 1, leaf.shape, generator=generator, device="cpu").to(leaf)


def _lengthen(leaf: Any, axis: int | None) -> Any:
    """Two samples more, the first ones again."""
    if axis is None or not isinstance(leaf, Tensor):
        return leaf
    return leaf.index_select(axis, torch.arange(leaf.shape[axis] + 2, device=leaf.device) % leaf.shape[axis])


def _agree(one: Any, other: Any, slack: float) -> bool:
    if not isinstance(one, Tensor) or not isinstance(other, Tensor):
        return one is other or (type(one) is type(other) and one == other)
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    if one.is_meta or other.is_meta:
        return one.is_meta and other.is_meta
    if not one.is_floating_point():
        return torch.equal(one, other)
    finite = torch.isfinite(one)
    if not torch.equal(one[~finite].nan_to_num(), other[~finite].nan_to_num()):
        return False
    size, gap = one[finite].abs(), (one - other)[finite].abs()
    tolerance = min(slack * _TOLERANCES.get(one.dtype, 1e-2), _WORST)
    return not len(gap) or bool(gap.max() <= tolerance * max(float(size.max()), 1e-30))


def _freeze_sizes(program: Program, sizes: tuple[int | float, ...], module: nn.Module) -> fx.Graph:
    """Copy a program's graph with numbers in place of its table and attributes in place of its state."""
    graph = fx.Graph()
    targets = {entry.placeholder: entry.target for entry in program.state}
    state = [node for node in program.graph.find_nodes(op="placeholder") if node.name in targets]
    copies = _freeze_nodes(program.graph, graph, sizes, module, {node: targets[node.name] for node in state})
    returned: Any = program.graph.output_node().args[0]
    graph.output(fx_node.map_arg(returned[1], lambda old: copies[old]))
    graph.eliminate_dead_code()
    return use_functions(_protect(graph, module))


def _freeze_nodes(
    graph: fx.Graph, frozen: fx.Graph, sizes: tuple[int | float, ...], module: nn.Module, state: Mapping[fx.Node, str]
) -> dict[fx.Node, Any]:
    """Copy all nodes but the output; bodies of branches and loops become modules beside the graph."""
    table = next(iter(graph.nodes))
    copies: dict[fx.Node, Any] = {}
    for node in graph.nodes:
        args: tuple[Any, ...] = node.args
        if node is table or node.op == "output":
            continue
        if node in state:
            copies[node] = frozen.get_attr(state[node])
        elif isinstance(node.target, Nested):
            bodies = [_freeze_body(body.graph, sizes) for body in node.target.bodies]
            operands = fx_node.map_arg(args[1:], lambda old: copies[old])
            copies[node] = _call_bodies(frozen, module, node, bodies, operands)
        elif args and args[0] is table:
            copies[node] = sizes[args[1]]
        else:
            copies[node] = frozen.node_copy(node, lambda old: copies[old])
    return copies


def _freeze_body(graph: fx.Graph, sizes: tuple[int | float, ...]) -> fx.GraphModule:
    body = fx.GraphModule(nn.Module(), fx.Graph())
    copies = _freeze_nodes(graph, body.graph, sizes, body, {})
    body.graph.output(fx_node.map_arg(graph.output_node().args[0], lambda old: copies[old]))
    _protect(body.graph, body)
    body.recompile()
    return body


def _protect(graph: fx.Graph, module: nn.Module) -> fx.Graph:
    """Keep a caller's autocast out of where the network does; the notes of the trace are left behind."""
    protect_by_torch(graph, module)
    for node in graph.nodes:
        node.meta = {}
    return graph


def _call_bodies(
    graph: fx.Graph, module: nn.Module, node: fx.Node, bodies: list[fx.GraphModule], operands: Any
) -> fx.Node:
    """Call an operator with bodies, which are registered under names of their own."""
    held: list[fx.Node] = []
    for i, body in enumerate(bodies):
        name = next(name for name in _names(f"{node.name}_body_{i}") if not hasattr(module, name))
        module.add_module(name, body)
        held.append(graph.get_attr(name))
    nested: Any = node.target
    return graph.call_function(nested.operator, nested.pack(held, operands))


def _names(name: str) -> Iterator[str]:
    """Yield a name, and then longer ones."""
    while True:
        yield name
        name += "_"
