"""Make a traced graph functional by rewriting it, where that takes no second trace.

`ExportedProgram.run_decompositions` traces a graph once more to turn in-place writes into values, and it
forgets regions without gradients. Most networks write in place only what nothing else looks
at (`relu_` after a convolution), and that can be told from the graph.
"""

import itertools
import operator
import re
from collections.abc import Iterator
from typing import Any

import torch
from torch import fx

from widthwise.graph.autocast import AUTOCAST_REGION
from widthwise.graph.overload import arguments_by_name, overload_name, schema_arguments
from widthwise.graph.patch import FILLS, is_patch, put_back
from widthwise.graph.shape import memory_of

__all__ = ["inline_regions", "is_simple", "make_functional"]

_GRAD_REGION = torch.ops.higher_order.wrap_with_set_grad_enabled
# They hand on their input where there is nothing to do, though neither their schemas nor their traces say so.
_PASSING = {
    torch.ops.aten.dropout.default,
    torch.ops.aten.feature_dropout.default,
    torch.ops.aten.alpha_dropout.default,
    torch.ops.aten.feature_alpha_dropout.default,
}
# Written in place they keep the dtype, as values they are true or false.
_COMPARISONS = re.compile(r"aten::(eq|ne|not_equal|[lg][te]|(less|greater)(_equal)?|logical_\w+?)_")
# With the statistics of a batch they write to running ones, though their schemas do not say so.
_NORMS = {"aten::batch_norm.default": "training", "aten::instance_norm.default": "use_input_stats"}
_Region = type(_GRAD_REGION).__mro__[1]


def inline_regions(module: fx.GraphModule, *, under_autocast: bool = False) -> None:
    """Put the operators of regions without gradients or without autocast in place of the regions; in place.

    Those inside the bodies of branches and loops too. Regions with autocast stay, and so do those without inside them:
    a second trace writes out their casts.
    """
    for node in list(module.graph.nodes):
        if node.op == "call_function" and (region := _region_of(module, node, under_autocast)) is not None:
            inline_regions(region, under_autocast=under_autocast)
            _move_bodies(region, module)
            _inline(node, region, _operands(node))
    for node in list(module.graph.nodes):
        if node.op != "get_attr":
            continue
        if not node.users:
            module.graph.erase_node(node)
        elif isinstance(body := getattr(module, node.target, None), fx.GraphModule):
            is_on = any(user.target is AUTOCAST_REGION and user.args[2] for user in node.users)
            inline_regions(body, under_autocast=under_autocast or is_on)
            body.recompile()


def is_simple(graph: fx.Graph) -> bool:
    """Return whether every write in place is to a value that nothing looks at by another name, then or later."""
    looked_at: set[fx.Node] = set()
    done: set[fx.Node] = set()
    for node in graph.nodes:
        if node.op == "get_attr" or (node.op == "call_function" and not _is_simple_node(node, looked_at, done)):
            return False
        looked_at.update(_aliased(node))
        done.add(node)
    return True


def make_functional(graph: fx.Graph) -> None:
    """Turn the writes of a simple graph into values; in place."""
    done: set[fx.Node] = set()
    for node in list(graph.nodes):
        done.add(node)
        if node.op == "call_function" and (target := _functional(node)) is not None:
            is_part = is_patch(node, done, _looks_at_others)
            node.target, written, value = target, node.args[0], node
            if is_part:
                written, inserted = put_back(node)
                done.update(inserted)
                value = inserted[-1]
            written.replace_all_uses_with(value, delete_user_cb=lambda user: user not in done)


def _region_of(module: fx.GraphModule, node: fx.Node, under_autocast: bool) -> fx.GraphModule | None:
    if node.target is _GRAD_REGION:
        name: Any = node.args[1]
    elif node.target is AUTOCAST_REGION and not node.args[2] and not under_autocast:
        name = node.args[4]
    else:
        return None
    return getattr(module, name.target)


def _operands(node: fx.Node) -> tuple[Any, ...]:
    return node.args[2:] if node.target is _GRAD_REGION else node.args[5:]


def _move_bodies(region: fx.GraphModule, module: fx.GraphModule) -> None:
    """Register the bodies that a region holds on the module around it, under names of their own."""
    for node in region.graph.find_nodes(op="get_attr"):
        body = getattr(region, node.target)
        name = next(name for i in itertools.count() if not hasattr(module, name := f"{node.target}_{i}"))
        setattr(module, name, body)
        setattr(region, name, body)
        node.target = name


def _inline(node: fx.Node, region: fx.GraphModule, operands: tuple[Any, ...]) -> None:
    copies: dict[fx.Node, Any] = dict(zip(region.graph.find_nodes(op="placeholder"), operands, strict=True))
    results: Any = ()
    with node.graph.inserting_before(node):
        for inner in region.graph.nodes:
            if inner.op == "output":
                results = fx.map_arg(inner.args[0], lambda old: copies[old])
            elif inner.op != "placeholder":
                copies[inner] = node.graph.node_copy(inner, lambda old: copies[old])
    for user in list(node.users):
        assert user.target is operator.getitem
        user.replace_all_uses_with(results[user.args[1]])
        node.graph.erase_node(user)
    node.graph.erase_node(node)


def _is_simple_node(node: fx.Node, looked_at: set[fx.Node], done: set[fx.Node]) -> bool:
    schema = getattr(node.target, "_schema", None)
    if schema is None:
        # torch.vmap leaves its own functions in a graph; a second trace works them out.
        is_vmap = getattr(node.target, "__module__", "").startswith("torch._functorch")
        return not isinstance(node.target, _Region) and not is_vmap
    if (statistics := _NORMS.get(overload_name(node.target))) is not None:
        named = arguments_by_name(node)
        return not named[statistics] or named["running_mean"] is None
    if not schema.is_mutable:
        return True
    written: Any = node.args[0]
    return (
        _functional(node) is not None
        and written.op == "call_function"
        and (is_patch(node, done, _looks_at_others) or (written not in looked_at and _is_last_name(written, done)))
        # A number that is filled in takes the dtype of what it is written to.
        and (node.target in FILLS or all(_dtype(source) == _dtype(written) for source in node.all_input_nodes))
    )


def _is_last_name(node: fx.Node, done: set[fx.Node]) -> bool:
    """Whether what a node looks at, if anything, has no other name and is read no more: `flatten` before `relu_`.

    Args:
        node: A value that is about to be written.
        done: The nodes before the write.
    """
    if not _looks_at_others(node):
        return True
    return node.op == "call_function" and all(
        _is_last_name(source, done)
        and all(user is node or (user in done and source not in _aliased(user)) for user in source.users)
        for source in node.all_input_nodes
    )


def _functional(node: fx.Node) -> Any:
    """Return the operator that gives as a value what another one writes to its first argument; None for others."""
    schema = getattr(node.target, "_schema", None)
    if schema is None or not schema.is_mutable or not schema.name.endswith("_"):
        return None
    packet = getattr(torch.ops.aten, schema.name.removeprefix("aten::").removesuffix("_"), None)
    written = [argument.alias_info is not None and argument.alias_info.is_write for argument in schema.arguments]
    if packet is None or not written[0] or any(written[1:]) or _COMPARISONS.fullmatch(schema.name):
        return None
    found = getattr(packet, schema.overload_name or "default", None)
    # `pow_.Scalar` takes a tensor and a number, `pow.Scalar` a number and a tensor.
    return found if found is not None and _signature(found) == _signature(node.target) else None


def _signature(target: Any) -> list[str]:
    return [str(argument.type) for argument in schema_arguments(target)]


def _aliased(node: fx.Node) -> Iterator[fx.Node]:
    """Yield what a node hands on by another name."""
    if _looks_at_others(node):
        yield from node.all_input_nodes


def _looks_at_others(node: fx.Node) -> bool:
    """Whether what a node yields may lie in the memory of what it is given."""
    if node.op != "call_function":
        return True
    schema = getattr(node.target, "_schema", None)
    if schema is None:
        return node.target is operator.getitem and _looks_at_others(node.all_input_nodes[0])
    if schema.is_mutable:
        # What an in-place operator returns is its value from then on, not another name for it.
        return False
    if node.target in _PASSING or any(argument.alias_info is not None for argument in schema.arguments):
        return True
    # The schema of einsum does not say that it may give a view, but the memory does.
    given = {place for source in node.all_input_nodes for place in memory_of(source)}
    return not given.isdisjoint(memory_of(node))


def _dtype(node: fx.Node) -> Any:
    value = node.meta.get("val")
    return value.dtype if isinstance(value, torch.Tensor) else None
