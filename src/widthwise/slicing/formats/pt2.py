"""`.pt2`: the program of torch.export, for any batch size.

Its inputs are positional, keywords last in the order of the example. Weights in int8 are those of torchao, and what
reads such a file has to import it first.
"""

import json
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch.utils import _pytree as pytree

from widthwise.graph import Example, silence
from widthwise.slicing.finish.dtype import FLOATING, convert
from widthwise.slicing.formats.format import FACTS, Format, Plain, Reader, export_program, read_json_facts, write_saved

__all__ = ["PT2"]


def _write(plain: Plain, path: Path) -> None:
    program = export_program(replace(plain, net=convert(plain.net, "int8")) if plain.dtype == "int8" else plain)
    facts = json.dumps(dict(plain.facts))
    with silence():
        write_saved(path, lambda file: torch.export.save(program, file, extra_files={FACTS: facts}))


def _read(_: Plain, path: Path) -> Reader:
    with silence():
        net = torch.export.load(path).module()

    def call(inputs: Example) -> list[Any]:
        return pytree.tree_leaves(net(*inputs.args, *inputs.kwargs.values()))

    return call


def _read_facts(path: Path) -> dict[str, str]:
    # Without loading the program, whose operators may be those of a package that is not imported.
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if name.endswith(f"/extra/{FACTS}")]
        return read_json_facts(archive.read(names[0])) if names else {}


PT2 = Format(write=_write, read=_read, read_facts=_read_facts, dtypes=(*FLOATING, "int8"))
