"""`.pt2`: the program of torch.export, for any batch size.

Its inputs are positional, keywords last in the order of the example.
"""

import json
from pathlib import Path
from typing import Any

import torch
from torch.utils import _pytree as pytree

from widthwise.graph import Example, silence
from widthwise.slicing.formats.format import Format, Plain, Reader, export_program

__all__ = ["PT2"]

_FACTS = "widthwise.json"


def _write(plain: Plain, path: Path) -> None:
    program = export_program(plain)
    with silence():
        torch.export.save(program, path, extra_files={_FACTS: json.dumps(dict(plain.facts))})


def _read(_: Plain, path: Path) -> Reader:
    with silence():
        net = torch.export.load(path).module()

    def call(inputs: Example) -> list[Any]:
        return pytree.tree_leaves(net(*inputs.args, *inputs.kwargs.values()))

    return call


PT2 = Format(write=_write, read=_read)
