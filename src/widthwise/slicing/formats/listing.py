"""What a network is, as JSON beside its weights: the operators of torch that it calls, one after the other.

`NAME.config.json` lists them, and `NAME.load.py` (the file `load.py` beside this one, word for word) runs the list on
the weights of `NAME.safetensors`. Neither needs the network's class, nor widthwise, and nothing in the list is code. A
network that torch.export cannot write down has no list; its config then says why, and its weights go into a network of
its class.
"""

import json
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor, fx
from torch.export.graph_signature import InputKind
from torch.utils import _pytree as pytree

from widthwise._shared import ExportError
from widthwise.slicing.difference import compare_outputs
from widthwise.slicing.formats.format import Plain, export_program, find_reason, write_bytes
from widthwise.slicing.formats.load import load

__all__ = ["make_listing", "write_listing"]

_CONFIG, _LOAD = ".config.json", ".load.py"
_SCHEMA = 1
_TOLERANCE = 1e-5
# Python's operators on the sizes of a batch, by the name of what torch has for whole numbers.
_ON_SIZES = {"add": "add", "sub": "sub", "mul": "mul", "floordiv": "floordiv", "mod": "remainder"}
# They check what they are given, and give nothing back.
_CHECKS = ("_assert", "sym_constrain_range")


def write_listing(plain: Plain, path: Path, state: Mapping[str, Tensor]) -> None:
    """Write what a network is beside the .safetensors file that holds its weights, if that computes what it does.

    Args:
        plain: The network.
        path: Of the .safetensors file.
        state: The tensors in it.
    """
    config, listing = path.with_suffix(_CONFIG), make_listing(plain, state)
    write_bytes(config, (json.dumps(listing, indent=1) + "\n").encode())
    if "reason" in listing:
        return
    reason = _find_fault(plain, path)
    if reason is None:
        write_bytes(path.with_suffix(_LOAD), resources.files(__package__ or "").joinpath("load.py").read_bytes())
        return
    write_bytes(config, (json.dumps({**_describe(plain), "reason": reason}, indent=1) + "\n").encode())


@torch.no_grad()
def _find_fault(plain: Plain, path: Path) -> str | None:
    """Return what is wrong with what the list computes, None where it is what the network does."""
    example = plain.example
    expected = pytree.tree_leaves(plain.net(*example.args, **example.kwargs))
    try:
        difference = compare_outputs(expected, pytree.tree_leaves(load(path)(*example.leaves())))
    except Exception as error:  # noqa: BLE001  # whatever an operator does not like, the weights are right
        return f"the list of operators does not run: {find_reason(error)}"
    return None if difference <= _TOLERANCE else f"the list of operators computes something else, by {difference:.2g}"


def make_listing(plain: Plain, state: Mapping[str, Tensor]) -> dict[str, object]:
    """Return what a network is: inputs, operators and outputs by name, each operator with its arguments.

    An argument is a plain value, a list, or an object of one entry: {"value": name}, {"item": [name, place]}, or
    {"torch": name} such as a dtype.

    Args:
        plain: The network.
        state: The tensors of its file of weights.
    """
    try:
        program = export_program(plain)
        listing = _Listing(program, _name_tensors(plain, state))
        return {**_describe(plain), **listing.describe()}
    except ExportError as error:
        return {**_describe(plain), "reason": str(error)}


def _describe(plain: Plain) -> dict[str, object]:
    return {"schema": _SCHEMA, "made_from": type(plain.net).__name__, "facts": dict(plain.facts)}


def _name_tensors(plain: Plain, state: Mapping[str, Tensor]) -> dict[str, str]:
    """Return for each name of a tensor of the network the one that it has in the file: tied tensors share one."""
    places = {_place(tensor): name for name, tensor in state.items() if tensor.numel()}
    named = plain.net.state_dict(keep_vars=True).items()
    return {name: name if name in state else places[_place(t)] for name, t in named if isinstance(t, Tensor)}


def _place(tensor: Tensor) -> tuple[object, ...]:
    return tensor.data_ptr(), tensor.shape, tensor.stride()


@final
class _Listing:
    """Turns a program into plain values."""

    def __init__(self, program: torch.export.ExportedProgram, stored: Mapping[str, str]) -> None:
        self._graph = program.graph
        self._names: dict[str, str] = {}
        self._inputs: list[str] = []
        self._constants: list[list[object]] = []
        for spec in program.graph_signature.input_specs:
            name = str(getattr(spec.arg, "name", ""))
            if spec.kind is InputKind.USER_INPUT:
                self._inputs.append(name)
                continue
            # The network is an attribute of what was exported.
            target = str(spec.target).removeprefix("net.")
            self._names[name] = stored.get(target, f"constant {target}")
            if target not in stored:
                held = program.constants.get(str(spec.target))
                if not isinstance(held, Tensor):
                    raise ExportError(f"expected constants that are tensors, got {type(held).__name__} as {target}")
                dtype = str(held.dtype).removeprefix("torch.")
                self._constants.append([self._names[name], dtype, held.tolist()])

    def describe(self) -> dict[str, object]:
        nodes = [self._describe(node) for node in self._graph.nodes if self._is_listed(node)]
        returned: Any = self._graph.output_node().args[0]
        outputs = self._argument(returned[0] if len(returned) == 1 else returned)
        return {"inputs": self._inputs, "constants": self._constants, "nodes": nodes, "outputs": outputs}

    def _is_listed(self, node: fx.Node) -> bool:
        if node.op in ("placeholder", "output") or _is_getitem(node):
            return False
        return not any(word in str(node.target) for word in _CHECKS) and not (node.op == "get_attr" and not node.users)

    def _describe(self, node: fx.Node) -> list[object]:
        kwargs = [[name, self._argument(value)] for name, value in node.kwargs.items() if value is not None]
        return [node.name, _name_operator(node), [self._argument(value) for value in node.args], kwargs]

    def _argument(self, value: Any) -> object:
        if isinstance(value, fx.Node):
            if _is_getitem(value):
                source, place = value.args
                assert isinstance(source, fx.Node)
                return {"item": [self._names.get(source.name, source.name), place]}
            return {"value": self._names.get(value.name, value.name)}
        if isinstance(value, list | tuple):
            return [self._argument(each) for each in value]
        if isinstance(value, torch.dtype | torch.layout | torch.memory_format):
            return {"torch": str(value).removeprefix("torch.")}
        if isinstance(value, torch.device):
            return str(value)
        if value is None or isinstance(value, bool | int | float | str):
            return value
        raise ExportError(f"expected arguments that JSON can hold, got {type(value).__name__}")


def _is_getitem(node: fx.Node) -> bool:
    return node.op == "call_function" and getattr(node.target, "__name__", "") == "getitem"


def _name_operator(node: fx.Node) -> list[str]:
    """Return the name of an operator of torch.ops.aten and that of its overload."""
    name = str(node.target)
    if name.startswith("aten."):
        return name.split(".")[1:]
    found = _ON_SIZES.get(getattr(node.target, "__name__", ""))
    if found is None:
        raise ExportError(f"expected operators of torch.ops.aten, got {name}")
    return [found, "int"]
