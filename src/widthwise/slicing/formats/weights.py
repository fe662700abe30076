"""`.safetensors` and `.pt`: the weights alone, under the network's own names."""

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch.utils import _pytree as pytree

from widthwise.graph import Example, silence
from widthwise.measure import Precision, safetensors_bytes, state_on_disk
from widthwise.slicing.formats.format import Format, Plain, Reader

__all__ = ["PT", "SAFETENSORS", "exported_bytes"]

# Room for each fact in the header of a .safetensors file; a longer one is cut. A score is at most 24 digits.
_LONGEST = {"made_by": 32, "torch": 32, "score": 24}


def exported_bytes(net: torch.nn.Module, widths: Mapping[str, int], precision: Precision | None = None) -> int:
    """Return the bytes that an export of `net` as .safetensors has, whatever versions write it, scored or not.

    Args:
        net: The network.
        widths: Units per group, which its file names among its facts.
        precision: How its weights are stored; None for as they are.
    """
    return _file_bytes(net, json.dumps(dict(widths)), precision)


def _file_bytes(net: torch.nn.Module, widths: str, precision: Precision | None = None) -> int:
    longest = {"widths": widths, **{name: "x" * length for name, length in _LONGEST.items()}}
    header = json.dumps({"__metadata__": longest}, separators=(",", ":"), ensure_ascii=False)
    # The braces around it are those of the whole header; one comma comes after it.
    return safetensors_bytes(net, room=len(header.encode()) - 1, precision=precision)


def _write_safetensors(plain: Plain, path: Path) -> None:
    facts = {name: fact[: _LONGEST.get(name)] for name, fact in plain.facts.items()}
    state = {name: tensor.contiguous() for name, tensor in state_on_disk(plain.net).items()}
    content = memoryview(safetensors.torch.save(state, facts))
    length = int.from_bytes(content[:8], "little")
    # Spaces after the header are part of the format: they take what the facts leave of their room.
    spaces = max(0, _file_bytes(plain.net, facts.get("widths", "")) - len(content))
    with path.open("wb") as file:
        file.write((length + spaces).to_bytes(8, "little"))
        file.write(content[8 : 8 + length])
        file.write(b" " * spaces)
        file.write(content[8 + length :])


def _read_safetensors(plain: Plain, path: Path) -> Reader:
    net = _copy(plain)
    safetensors.torch.load_model(net, str(path))
    return _call(net)


def _write_pt(plain: Plain, path: Path) -> None:
    # On the CPU, so that a machine without a GPU can load it.
    torch.save(_copy(plain).cpu().state_dict(), path)


def _read_pt(plain: Plain, path: Path) -> Reader:
    net = _copy(plain)
    net.load_state_dict(torch.load(path, weights_only=True))
    return _call(net)


def _copy(plain: Plain) -> torch.nn.Module:
    # torch.fx warns about its own treespecs when it copies a graph module.
    with silence():
        return copy.deepcopy(plain.net)


def _call(net: torch.nn.Module) -> Reader:
    def call(inputs: Example) -> list[Any]:
        return pytree.tree_leaves(net(*inputs.args, **inputs.kwargs))

    return call


SAFETENSORS = Format(write=_write_safetensors, read=_read_safetensors)
PT = Format(write=_write_pt, read=_read_pt)
