"""`.safetensors` and `.pt`: the weights alone, under the network's own names.

Beside a .safetensors file stands what its network is, so that torch can run it without the class; see `listing`.
"""

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import safe_open
from torch.utils import _pytree as pytree

from widthwise.graph import Example, silence
from widthwise.measure import Precision, safetensors_bytes, state_on_disk
from widthwise.slicing.formats.format import Format, Plain, Reader, write_bytes, write_saved
from widthwise.slicing.formats.listing import write_listing

__all__ = ["PT", "SAFETENSORS", "exported_bytes"]

# Room for each fact in the header of a .safetensors file, quotes escaped; a longer one is cut, or left out if JSON.
# What is not named here stands in the config beside the file alone.
_LONGEST = {
    "made_by": 32,
    "torch": 32,
    "run": 32,
    "recipe": 32,
    "dtype": 8,
    "finished": 64,
    "score": 24,
    "scores": 96,
}
_IS_JSON = ("scores",)


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
    facts = _fit_facts(plain.facts)
    state = {name: tensor.contiguous() for name, tensor in state_on_disk(plain.net).items()}
    content = memoryview(safetensors.torch.save(state, facts))
    length = int.from_bytes(content[:8], "little")
    # Spaces after the header are part of the format: they take what the facts leave of their room.
    spaces = max(0, _file_bytes(plain.net, facts.get("widths", "")) - len(content))
    head = (length + spaces).to_bytes(8, "little") + content[8 : 8 + length].tobytes() + b" " * spaces
    write_bytes(path, head, content[8 + length :])
    write_listing(plain, path, state)


def _fit_facts(facts: Mapping[str, str]) -> dict[str, str]:
    """Return the facts that there is room for, each cut to it; one that is JSON stays whole or is left out."""
    fitted = {"widths": facts["widths"]} if "widths" in facts else {}
    for name, room in _LONGEST.items():
        fact = facts.get(name, "")
        while _escaped_bytes(fact) > room:
            fact = "" if name in _IS_JSON else fact[:-1]
        if fact:
            fitted[name] = fact
    return fitted


def _escaped_bytes(text: str) -> int:
    # Without the quotes around it.
    return len(json.dumps(text, ensure_ascii=False).encode()) - 2


def _read_safetensors(plain: Plain, path: Path) -> Reader:
    net = _copy(plain)
    safetensors.torch.load_model(net, str(path))
    return _call(net)


def _read_safetensors_facts(path: Path) -> dict[str, str]:
    with safe_open(path, framework="pt") as file:
        return dict(file.metadata() or {})


def _write_pt(plain: Plain, path: Path) -> None:
    # On the CPU, so that a machine without a GPU can load it.
    state = _copy(plain).cpu().state_dict()
    # An attribute beside the `_metadata` that torch gives it: it is saved too, and no key that load_state_dict refuses.
    vars(state)["widthwise"] = dict(plain.facts)
    write_saved(path, lambda file: torch.save(state, file))


def _read_pt(plain: Plain, path: Path) -> Reader:
    net = _copy(plain)
    net.load_state_dict(torch.load(path, weights_only=True))
    return _call(net)


def _read_pt_facts(path: Path) -> dict[str, str]:
    state = torch.load(path, weights_only=True, map_location="meta", mmap=True)
    return dict(getattr(state, "widthwise", {}))


def _copy(plain: Plain) -> torch.nn.Module:
    # torch.fx warns about its own treespecs when it copies a graph module.
    with silence():
        return copy.deepcopy(plain.net)


def _call(net: torch.nn.Module) -> Reader:
    def call(inputs: Example) -> list[Any]:
        return pytree.tree_leaves(net(*inputs.args, **inputs.kwargs))

    return call


SAFETENSORS = Format(write=_write_safetensors, read=_read_safetensors, read_facts=_read_safetensors_facts)
PT = Format(write=_write_pt, read=_read_pt, read_facts=_read_pt_facts)
