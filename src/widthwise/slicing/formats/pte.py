"""`.pte`: for ExecuTorch, its XNNPACK backend, for any batch size up to `MAX_BATCH`. Needs the extra `executorch`.

Its inputs stand in the order of the call, keywords last in the order of the example. The method `widthwise` of the file
returns, as JSON, where it comes from.
"""

import json
from pathlib import Path
from typing import Any

import torch

from widthwise._shared import require
from widthwise.graph import Example, silence
from widthwise.slicing.formats.format import Format, Plain, Reader, export_program, read_json_facts, write_bytes

__all__ = ["MAX_BATCH", "PTE"]

# Memory is planned ahead for the largest batch.
MAX_BATCH = 16
_FACTS = "widthwise"


def _write(plain: Plain, path: Path) -> None:
    with silence():
        exir = require("executorch.exir", "executorch")
        xnnpack = require("executorch.backends.xnnpack.partition.xnnpack_partitioner", "executorch")
        program = export_program(plain, max_batch=MAX_BATCH)
        lowered = exir.to_edge_transform_and_lower(
            program,
            partitioner=[xnnpack.XnnpackPartitioner()],
            constant_methods={_FACTS: json.dumps(dict(plain.facts))},
        )
        write_bytes(path, lowered.to_executorch().buffer)


def _read(_: Plain, path: Path) -> Reader:
    method = _load(path, "forward")

    def call(inputs: Example) -> list[Any]:
        leaves = [leaf.contiguous() if isinstance(leaf, torch.Tensor) else leaf for leaf in inputs.leaves()]
        # What comes back is the runtime's own memory, which the next call writes over.
        return [each.clone() if isinstance(each, torch.Tensor) else each for each in method.execute(leaves)]

    return call


def _read_facts(path: Path) -> dict[str, str]:
    return read_json_facts(_load(path, _FACTS).execute([])[0])


def _load(path: Path, method: str) -> Any:
    with silence():
        runtime = require("executorch.runtime", "executorch")
        return runtime.Runtime.get().load_program(path).load_method(method)


PTE = Format(
    write=_write, read=_read, read_facts=_read_facts, dtypes=("float32", "float16", "bfloat16"), max_batch=MAX_BATCH
)
