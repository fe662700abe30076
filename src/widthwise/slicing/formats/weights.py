"""`.safetensors` and `.pt`: the weights alone, under the network's own names."""

import copy
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch.utils import _pytree as pytree

from widthwise.graph import Example
from widthwise.slicing.formats.format import Format, Plain, Reader, quiet

__all__ = ["PT", "SAFETENSORS"]


def _write_safetensors(plain: Plain, path: Path) -> None:
    safetensors.torch.save_model(plain.net, str(path), metadata=dict(plain.facts))


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
    with quiet():
        return copy.deepcopy(plain.net)


def _call(net: torch.nn.Module) -> Reader:
    def call(inputs: Example) -> list[Any]:
        return pytree.tree_leaves(net(*inputs.args, **inputs.kwargs))

    return call


SAFETENSORS = Format(write=_write_safetensors, read=_read_safetensors)
PT = Format(write=_write_pt, read=_read_pt)
