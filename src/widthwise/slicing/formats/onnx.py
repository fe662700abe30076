"""`.onnx`: for ONNX Runtime, for any batch size. Needs the extra `export`.

Its inputs stand in the order of the call, keywords last in the order of the example.
"""

from pathlib import Path
from typing import Any

import torch
from torch.export.graph_signature import TensorArgument

from widthwise._shared import ExportError, require
from widthwise.graph import Example, silence
from widthwise.slicing.formats.format import Format, Plain, Reader, export_program

__all__ = ["ONNX"]


def _write(plain: Plain, path: Path) -> None:
    onnx = require("onnx", "export")
    require("onnxscript", "export")
    program = export_program(plain)
    _check_outputs(program)
    with silence():
        exported = torch.onnx.export(program, dynamo=True, verbose=False)
    if exported is None:
        raise ExportError("expected an ONNX program of this network, got none; export .pt2 or .safetensors instead")
    model = exported.model_proto
    onnx.helper.set_model_props(model, dict(plain.facts))
    onnx.save_model(model, str(path))


def _check_outputs(program: torch.export.ExportedProgram) -> None:
    for spec in program.graph_signature.output_specs:
        if not isinstance(spec.arg, TensorArgument):
            got = getattr(spec.arg, "value", None)
            raise ExportError(
                f"expected a network that returns tensors alone, as .onnx holds nothing else, got an output {got!r}; "
                "export .pt2 or .safetensors instead"
            )


def _read(_: Plain, path: Path) -> Reader:
    runtime = require("onnxruntime", "export")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [entry.name for entry in session.get_inputs()]

    def call(inputs: Example) -> list[Any]:
        tensors = [leaf for leaf in inputs.leaves() if isinstance(leaf, torch.Tensor)]
        feeds = {name: tensor.detach().cpu().numpy() for name, tensor in zip(names, tensors, strict=True)}
        return [torch.from_numpy(value) for value in session.run(None, feeds)]

    return call


ONNX = Format(write=_write, read=_read)
