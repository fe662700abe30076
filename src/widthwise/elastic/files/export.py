"""From an elastic model and a width to a checked file."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from widthwise._shared import describe_environment
from widthwise.elastic.elastic import Elastic
from widthwise.elastic.widths import Width
from widthwise.graph import Example
from widthwise.slicing import batch_inputs
from widthwise.slicing.export import Exported, export_network
from widthwise.slicing.finish.dtype import DtypeName, cast_inputs, check_dtype, convert
from widthwise.slicing.formats import Plain, find_format

__all__ = ["export"]

# Enough for the range of an activation, and each is held in memory.
_MOST_BATCHES = 16


def export(
    model: Elastic,
    width: Width,
    path: str | Path,
    *,
    dtype: DtypeName | None = None,
    calibrate: Iterable[object] | None = None,
    refit: Iterable[object] | None = None,
    finish: Callable[[nn.Module], str] | None = None,
    inputs: Iterable[Example] | None = None,
    max_bytes: int | None = None,
    facts: Mapping[str, str] | None = None,
) -> Exported:
    """Extract the network at a width to a file, which its own runtime reads back and compares before it is kept.

    Args:
        model: The elastic model.
        width: A fraction, a dict of group names, or a point of a curve.
        path: Its suffix names the format: .safetensors and .pt hold the weights, .pt2, .onnx and .pte a program for any
            batch size (.pte for one of at most 16). One that ends in "/" is a folder of Hugging Face.
        dtype: "float16" or "bfloat16", in which the network then takes its inputs; "int8" for weights alone, in .pt2
            (its linear layers, by torchao) and .onnx (by ONNX Runtime). The file is compared with the network before.
        calibrate: As for `Elastic.extract`. With "int8" in .onnx also what the ranges of activations are taken from;
            without it they are measured at run time.
        refit: As for `Elastic.extract`.
        finish: Called with the extracted network, which it may train on; what it returns says so in the file.
        inputs: On what the file is compared with the network; by default on random inputs of 2 samples and of 1.
        max_bytes: A larger file is not kept.
        facts: What else the file shall say of where it comes from, such as the name of a run.

    Raises:
        ExportError: The suffix is unknown, or the file does not compute what the network does; nothing is left behind.
        MissingExtraError: The format needs an extra.
        NoPointError: The file is larger than `max_bytes`.
        WidthError: The width is out of range, or the dtype is none.

    Example:
        >>> import tempfile
        >>> net = torch.nn.Sequential(torch.nn.Linear(8, 64), torch.nn.ReLU(), torch.nn.Linear(64, 3))
        >>> model = Elastic(net, (torch.zeros(2, 8),))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     export(model, 0.25, Path(folder) / "small.safetensors").max_difference
        0.0
    """
    find_format(path)
    check_dtype(dtype)
    # It is needed twice.
    calibrate = list(calibrate) if isinstance(calibrate, Iterator) else calibrate
    small = model.extract(width, calibrate=calibrate, refit=refit)
    finished = [*(["refit"] if refit is not None else []), *([finish(small)] if finish is not None else [])]
    args, kwargs = model.example_batch(2)
    example = Example(args=args, kwargs=kwargs)
    plain = Plain(
        net=small if dtype == "int8" else convert(small, dtype),
        example=cast_inputs(example, dtype),
        batch_axes=model.input_batch_axes,
        facts={**_facts(model, width, dtype, finished), **(facts or {})},
        dtype=dtype,
        calibration=_find_calibration(example, calibrate, dtype),
    )
    batches = [_random_inputs(model, 2), _random_inputs(model, 1)] if inputs is None else list(inputs)
    return export_network(plain, path, batches, reference=small, max_bytes=max_bytes)


def _find_calibration(
    example: Example, calibrate: Iterable[object] | None, dtype: DtypeName | None
) -> Sequence[Example]:
    if calibrate is None or dtype != "int8":
        return ()
    return [batch_inputs(batch, example) for batch in islice(calibrate, _MOST_BATCHES)]


def _facts(model: Elastic, width: Width, dtype: DtypeName | None, finished: Sequence[str]) -> dict[str, str]:
    environment = describe_environment()
    facts = {
        "made_by": f"widthwise {environment['widthwise']}",
        "torch": str(environment["torch"]),
        "widths": json.dumps(model.widths(width)),
    }
    if dtype is not None:
        facts["dtype"] = dtype
    if finished:
        facts["finished"] = ", ".join(finished)
    score, scores = getattr(width, "score", None), getattr(width, "scores", None)
    if score is not None:
        facts["score"] = repr(score)
    if scores:
        facts["scores"] = json.dumps({name: float(f"{value:.6g}") for name, value in scores.items()})
    return facts


def _random_inputs(model: Elastic, num_samples: int) -> Example:
    generator = torch.Generator().manual_seed(num_samples)

    def redraw(leaf: object) -> object:
        if not isinstance(leaf, Tensor) or not leaf.is_floating_point():
            return leaf
        return torch.randn(leaf.shape, generator=generator).to(leaf)

    args, kwargs = pytree.tree_map(redraw, model.example_batch(num_samples))
    return Example(args=args, kwargs=kwargs)
