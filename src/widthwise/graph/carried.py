"""State that is carried from call to call: it keeps its full width, and a narrower network reads and writes its prefix.

What the network is handed is cut to the units that there are, and what it hands back is written over the first units of
what it was handed. Units that a narrow call does not have thus keep what they held, as the statistics of a norm do.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.utils import _pytree as pytree

from widthwise._shared import TraceError
from widthwise.graph.call import Call, Outcome
from widthwise.graph.example import Example, name_leaves
from widthwise.graph.shape import shape_of
from widthwise.graph.trace import Trace

__all__ = ["MARK", "carry", "let_carry", "writes_state"]

MARK = "widthwise_carried"


def let_carry(trace: Trace, net: nn.Module, example: Example, name: str) -> Trace:
    """Return a trace in which one input of the network is a state that some output hands back.

    Args:
        trace: The trace; its graph is changed.
        net: The network.
        example: What a call of it looks like.
        name: Of a parameter of its `forward`: a tensor, or a nest of tensors, with units along their last axis.

    Raises:
        TraceError: There is no such input, or not exactly one output of the same structure and shapes.
    """
    named = name_leaves(net, example)
    places = [i for i, each in enumerate(named) if each == name]
    if not places:
        known = ", ".join(dict.fromkeys(named))
        raise TraceError(f"carried must name an input among {known}, got {name!r}; name the state as forward does")
    returned = _find_returned(trace, places, name)
    nodes = [trace.placeholder(trace.inputs[i]) for i in places]
    outputs = list(trace.outputs)
    last: fx.Node = [node for node in trace.graph.nodes if node.op == "placeholder"][-1]
    end = trace.graph.output_node()
    for given, index in zip(nodes, returned, strict=True):
        shape = shape_of(given.meta["val"])
        axis, size = len(shape) - 1, int(shape[-1])
        # What the network does to a state that it only looks at reads the prefix, too.
        with trace.graph.inserting_after(last):
            read = trace.graph.call_function(torch.ops.aten.slice.Tensor, (given, axis, 0, size))
        read.meta = {"val": given.meta["val"], MARK: read}
        given.replace_all_uses_with(read, delete_user_cb=lambda user, read=read: user not in (read, end))
        with trace.graph.inserting_before(end):
            new = outputs[index] if outputs[index] is not given else read
            arguments: Any = (given, new, axis, 0, size)
            written = trace.graph.call_function(torch.ops.aten.slice_scatter.default, arguments)
        written.meta = {"val": new.meta["val"], MARK: read}
        outputs[index] = written
    _return(end, trace.outputs, outputs)
    return replace(trace, outputs=tuple(outputs))


def carry(call: Call) -> Outcome:
    """Return what the two marked operators do: units of a state are those of whoever reads and writes them."""
    read: fx.Node = call.node.meta[MARK]
    if call.node is read:
        state = call.axes("self")
        units = call.solver.resolve(call.fresh_output()[-1])
        return Outcome(outputs=((*state[:-1], units),), sizes={"end": units})
    units = call.axes("src")[-1]
    call.unify(units, call.axes(read)[-1])
    return Outcome(outputs=(call.axes("self"),), sizes={"end": call.solver.resolve(units)})


def writes_state(node: fx.Node) -> bool:
    """Return whether a node writes over a carried state: nothing else looks at units that it leaves as they are."""
    return MARK in node.meta and node.meta[MARK] is not node


def _find_returned(trace: Trace, places: Sequence[int], name: str) -> list[int]:
    """Return which output leaves hand back a state, in the order of its leaves."""
    wanted = [_shape(trace.placeholder(trace.inputs[i])) for i in places]
    tree = pytree.tree_unflatten(list(range(len(trace.outputs))), trace.output_spec)
    parts = [pytree.tree_leaves(part) for part in pytree.tree_leaves(tree, is_leaf=lambda part: part is not tree)]
    found = [part for part in parts if [_shape(trace.outputs[i]) for i in part] == wanted and None not in wanted]
    if len(found) != 1:
        raise TraceError(
            f"carried must name a state that one output hands back, with units along its last axis, but {len(found)} "
            f"outputs have the shapes of {name}; return it as one output, as in return y, state"
        )
    return found[0]


def _shape(leaf: Any) -> tuple[Any, ...] | None:
    value = leaf.meta.get("val") if isinstance(leaf, fx.Node) else None
    if not isinstance(value, Tensor) or not value.is_floating_point() or not value.dim():
        return None
    shape = shape_of(value)
    return shape if isinstance(shape[-1], int) else None


def _return(end: fx.Node, before: Sequence[Any], after: Sequence[Any]) -> None:
    """Let the graph return other output leaves, which come last of what it returns."""
    returned: Any = end.args[0]
    kept = tuple(returned)[: len(returned) - len(before)]
    end.args = ((*kept, *after),)
