"""`.onnx`: for ONNX Runtime, for any batch size. Needs the extra `export`.

Its inputs stand in the order of the call, keywords last in the order of the example. Weights in int8 are those of ONNX
Runtime's own quantiser: with inputs to calibrate on, activations have fixed ranges (static); without, each call
measures its own (dynamic). There is no bfloat16: numpy has none, through which ONNX Runtime takes its inputs.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch.export.graph_signature import TensorArgument

from widthwise._shared import ExportError, require
from widthwise.graph import Example, silence
from widthwise.slicing.formats.format import Format, Plain, Reader, export_program, write_bytes

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
    model = _quantise(plain, exported.model_proto) if plain.dtype == "int8" else exported.model_proto
    onnx.helper.set_model_props(model, dict(plain.facts))
    write_bytes(path, model.SerializeToString())


def _check_outputs(program: torch.export.ExportedProgram) -> None:
    for spec in program.graph_signature.output_specs:
        if not isinstance(spec.arg, TensorArgument):
            got = getattr(spec.arg, "value", None)
            raise ExportError(
                f"expected a network that returns tensors alone, as .onnx holds nothing else, got an output {got!r}; "
                "export .pt2 or .safetensors instead"
            )


def _quantise(plain: Plain, model: Any) -> Any:
    """Return a model with weights in int8, a scale for each channel."""
    onnx, quantization = require("onnx", "export"), require("onnxruntime.quantization", "export")
    names = [entry.name for entry in model.graph.input]
    # Shapes that were inferred, which the quantiser does not mend where it turns a weight round.
    del model.graph.value_info[:]
    options = {"per_channel": True, "weight_type": quantization.QuantType.QInt8}
    with tempfile.TemporaryDirectory() as folder, silence():
        before, after = Path(folder) / "float.onnx", Path(folder) / "int8.onnx"
        onnx.save_model(model, str(before))
        if plain.calibration:
            quantization.quantize_static(before, after, _Samples(names, plain.calibration), **options)
        else:
            quantization.quantize_dynamic(before, after, **options)
        return onnx.load_model(str(after))


class _Samples:
    """Gives ONNX Runtime's quantiser one input after the other, as it asks for them."""

    def __init__(self, names: list[str], inputs: Sequence[Example]) -> None:
        self._feeds = iter([_make_feeds(names, each) for each in inputs])

    def get_next(self) -> dict[str, Any] | None:
        """Return the next inputs by name, None after the last."""
        return next(self._feeds, None)


def _read(_: Plain, path: Path) -> Reader:
    runtime = require("onnxruntime", "export")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [entry.name for entry in session.get_inputs()]

    def call(inputs: Example) -> list[Any]:
        return [torch.from_numpy(value) for value in session.run(None, _make_feeds(names, inputs))]

    return call


def _make_feeds(names: list[str], inputs: Example) -> dict[str, Any]:
    tensors = [leaf for leaf in inputs.leaves() if isinstance(leaf, torch.Tensor)]
    return {name: tensor.detach().cpu().numpy() for name, tensor in zip(names, tensors, strict=True)}


def _read_facts(path: Path) -> dict[str, str]:
    model = require("onnx", "export").load_model(str(path))
    return {entry.key: entry.value for entry in model.metadata_props}


ONNX = Format(write=_write, read=_read, read_facts=_read_facts, dtypes=("float32", "float16", "int8"))
