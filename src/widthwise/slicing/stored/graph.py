"""The traced network as plain values, from which it is built at any width without its code.

What is read may come from anyone, so nothing of it is evaluated: operators are looked up by name among those of PyTorch
that compute something from tensors and numbers, and every name that would stand in generated code must be a name.
"""

import keyword
import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor, fx, nn
from torch._ops import OpOverload
from torch.utils import _pytree as pytree

from widthwise._shared import ExportError
from widthwise.graph import Example, Formula, KeptSet, Term, count, find_protected_devices
from widthwise.slicing.assembly import refuse_fewer, register, set_structure
from widthwise.slicing.running.functions import use_functions
from widthwise.slicing.running.program import Program
from widthwise.slicing.stored.terms import read_size, write_size
from widthwise.slicing.stored.tree import read_tree, write_tree

__all__ = ["StoredGraph", "read_constant", "write_graph"]

_ADVICE = "extract the widths that you need one by one"
# What torch.export computes sizes with.
_FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    **{
        f"operator.{name}": getattr(operator, name)
        for name in ("add", "eq", "floordiv", "ge", "getitem", "gt", "le", "lt", "mod", "mul", "ne", "neg", "sub",
                     "truediv")
    },
    **{f"torch.{name}": getattr(torch, name) for name in ("sym_float", "sym_int", "sym_max", "sym_min", "sym_not")},
}  # fmt: skip
_NAMES = {function: name for name, function in _FUNCTIONS.items()}
_CONSTANTS = {"dtype": torch.dtype, "layout": torch.layout, "memory_format": torch.memory_format}
_PLACE = re.compile(r"[\w-]+(\.[\w-]+)*")


def write_graph(
    program: Program, names: Sequence[str], example: Example, keys: Mapping[int, int], batch_axes: Sequence[int | None]
) -> dict[str, Any]:
    """Return a program as plain values, for JSON.

    Args:
        program: Of evaluation mode.
        names: Of the inputs, positional ones first.
        example: What a call looks like.
        keys: The position of each group by the key of its atom.
        batch_axes: The batch axis of each input leaf, or None.

    Raises:
        ExportError: It holds something that cannot be written down.
    """
    trace = program.trace
    if trace.prologue is not None:
        raise ExportError(f"expected a network without spectral norms, got one whose weights have some; {_ADVICE}")
    for name in [*names, *(entry.target for entry in program.state)]:
        if not _PLACE.fullmatch(name):
            raise ExportError(f"expected names of letters, digits, '_', '-' and '.', got {name!r}; rename that module")
    writer = _Writer(program)
    outputs = list(range(len(trace.outputs)))
    args, kwargs = pytree.tree_unflatten(
        list(range(len(trace.inputs))), pytree.tree_structure((example.args, example.kwargs))
    )
    return {
        "sizes": [write_size(size, keys) for size in program.size_terms],
        "state": [entry.target for entry in program.state],
        "num_inputs": len(trace.inputs),
        "nodes": writer.nodes,
        "outputs": writer.outputs,
        "names": list(names),
        "args": write_tree(args),
        "kwargs": write_tree(kwargs),
        "returns": write_tree(pytree.tree_unflatten(outputs, trace.output_spec)),
        "batch_axes": list(batch_axes),
    }


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class StoredGraph:
    """A graph that was written down.

    Attributes:
        sizes: What each number of its table of sizes is.
        content: The rest, as it was written.
    """

    sizes: tuple[Term | Formula, ...]
    content: Mapping[str, Any]

    @classmethod
    def read(cls, content: Mapping[str, Any]) -> "StoredGraph":
        """Return what `write_graph` wrote.

        Raises:
            TypeError, ValueError, LookupError: It did not write this.
        """
        for name in content["names"]:
            _check(name.isidentifier() and not keyword.iskeyword(name) and name != "self", f"{name!r} is no name")
        _check(len(set(content["names"])) == len(content["names"]), "two inputs have one name")
        for name in content["state"]:
            _check(_PLACE.fullmatch(name) is not None, f"{name!r} is no place of a tensor")
        return cls(sizes=tuple(map(read_size, content["sizes"])), content=content)

    def build(
        self,
        kept: Mapping[int, KeptSet],
        state: Mapping[str, Tensor],
        *,
        persistent: Sequence[str],
        smallest: int = 1,
    ) -> fx.GraphModule:
        """Return the network at kept sets as a module in evaluation mode, which holds the tensors given.

        Args:
            kept: The kept set of each group, by its position.
            state: Parameters and buffers by name; tied names share one.
            persistent: The names of the buffers that its state dict has.
            smallest: The fewest samples that it takes.
        """
        content = self.content
        numbers = [each.at(kept) if isinstance(each, Formula) else count(each, kept) for each in self.sizes]
        module = fx.GraphModule(nn.Module(), fx.Graph())
        for target, tensor in state.items():
            register(module, target, tensor, persistent=target in persistent)
        graph = fx.Graph()
        values: list[Any] = [graph.get_attr(target) for target in content["state"]]
        values += [graph.placeholder(f"leaf_{i}") for i in range(operator.index(content["num_inputs"]))]
        for name, args, kwargs in content["nodes"]:
            read = [_read_value(each, values, numbers) for each in args]
            named = {key: _read_value(each, values, numbers) for key, each in kwargs.items()}
            _check(all(key.isidentifier() for key in named), "an argument has no name")
            values.append(graph.call_function(_find_operator(name), tuple(read), named))
        graph.output(tuple(_read_value(each, values, numbers) for each in content["outputs"]))
        graph.eliminate_dead_code()
        use_functions(graph)
        if smallest > 1:
            refuse_fewer(graph, smallest, content["batch_axes"])
        inputs = Example(args=read_tree(content["args"]), kwargs=read_tree(content["kwargs"]))
        output_spec = pytree.tree_structure(read_tree(content["returns"]))
        set_structure(graph, content["names"], inputs, output_spec)
        module.graph = graph
        return module.eval()


def read_constant(kind: str, name: str) -> Any:
    """Return the dtype, layout or memory format of PyTorch of that name.

    Raises:
        ValueError, LookupError, AttributeError: There is none.
    """
    found = getattr(torch, name)
    _check(isinstance(found, _CONSTANTS[kind]), f"{name!r} is no {kind}")
    return found


@final
class _Writer:
    """Writes the nodes that a program's outputs need; a value is told by its number: state, inputs, then nodes."""

    def __init__(self, program: Program) -> None:
        table, *rest = program.graph.nodes
        returned: Any = program.graph.output_node().args[0]
        needed = _find_needed(returned[1])
        self._sizes = {node: node.args[1] for node in table.users if node.target is operator.getitem}
        self._numbers: dict[fx.Node, int] = {}
        self.nodes: list[Any] = []
        for node in rest:
            if node.op == "placeholder":
                self._numbers[node] = len(self._numbers)
            elif node in needed and node not in self._sizes:
                name = _name_operator(node)
                args = [self._write(each) for each in node.args]
                self.nodes.append([name, args, {key: self._write(each) for key, each in node.kwargs.items()}])
                self._numbers[node] = len(self._numbers)
        self.outputs = [self._write(leaf) for leaf in returned[1]]

    def _write(self, value: Any) -> Any:
        if isinstance(value, fx.Node):
            return {"size": self._sizes[value]} if value in self._sizes else {"value": self._numbers[value]}
        if isinstance(value, list | tuple):
            return [self._write(each) for each in value]
        if isinstance(value, torch.device):
            # What is read back is read to the CPU.
            return {"device": "cpu"}
        for kind, type_ in _CONSTANTS.items():
            if isinstance(value, type_):
                return {kind: str(value).removeprefix("torch.")}
        if isinstance(value, float) and not math.isfinite(value):
            return {"float": str(value)}
        if value is None or isinstance(value, bool | int | float | str):
            return value
        raise ExportError(f"expected operators on tensors and numbers, got an argument {value!r}; {_ADVICE}")


def _find_needed(outputs: Any) -> set[fx.Node]:
    needed: set[fx.Node] = set()
    stack = [leaf for leaf in outputs if isinstance(leaf, fx.Node)]
    while stack:
        node = stack.pop()
        if node not in needed:
            needed.add(node)
            stack += node.all_input_nodes
    return needed


def _name_operator(node: fx.Node) -> str:
    target: Any = node.target
    if target in _NAMES:
        return _NAMES[target]
    if find_protected_devices(node):
        raise ExportError(f"expected a network that leaves autocast alone, got one that switches it; {_ADVICE}")
    name = str(target)
    if not isinstance(target, OpOverload) or not _is_plain(target):
        raise ExportError(f"expected operators of PyTorch that compute values alone, got {name}; {_ADVICE}")
    return name


def _find_operator(name: str) -> Callable[..., Any]:
    if name in _FUNCTIONS:
        return _FUNCTIONS[name]
    namespace, packet, overload = name.split(".")
    found = getattr(getattr(torch.ops.aten, packet), overload) if namespace == "aten" else None
    _check(isinstance(found, OpOverload) and _is_plain(found), f"{name!r} is no operator")
    return found  # pyright: ignore[reportReturnType]


def _is_plain(target: Any) -> bool:
    """Whether an operator computes values from values: no other package's, no write, no access to files."""
    plain = target.namespace == "aten" and not target._schema.is_mutable
    return plain and target._schema.name != "aten::from_file"


def _read_value(data: Any, values: Sequence[Any], sizes: Sequence[int | float]) -> Any:
    if isinstance(data, list):
        return [_read_value(each, values, sizes) for each in data]
    if not isinstance(data, dict):
        return data
    ((kind, value),) = data.items()
    if kind == "value":
        return values[_index(value)]
    if kind == "size":
        return sizes[_index(value)]
    if kind == "device":
        return torch.device("cpu")
    if kind == "float":
        return float(value)
    return read_constant(kind, value)


def _index(value: Any) -> int:
    _check(isinstance(value, int) and value >= 0, f"{value!r} is no position")
    return value


def _check(holds: bool, problem: str) -> None:
    if not holds:
        raise ValueError(problem)
