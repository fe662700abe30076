"""From an elastic model and a width to a checked file."""

import json
from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from widthwise._shared import describe_environment
from widthwise.elastic.elastic import Elastic
from widthwise.elastic.widths import Width
from widthwise.graph import Example
from widthwise.slicing.export import Exported, export_network
from widthwise.slicing.formats import Plain, find_format

__all__ = ["export"]


def export(
    model: Elastic,
    width: Width,
    path: str | Path,
    *,
    calibrate: Iterable[object] | None = None,
    refit: Iterable[object] | None = None,
    inputs: Iterable[Example] | None = None,
) -> Exported:
    """Extract the network at a width to a file, which its own runtime reads back and compares before it is kept.

    Args:
        model: The elastic model.
        width: A fraction, a dict of group names, or a point of a curve.
        path: Its suffix names the format: .safetensors and .pt hold the weights, .pt2 and .onnx a program for any batch
            size.
        calibrate: As for `Elastic.extract`.
        refit: As for `Elastic.extract`.
        inputs: On what the file is compared with the network; by default on random inputs of 2 samples and of 1.

    Raises:
        ExportError: The suffix is unknown, or the file does not compute what the network does; nothing is left behind.
        MissingExtraError: The format needs the extra `export`.
        WidthError: The width is out of range.

    Example:
        >>> import tempfile
        >>> net = torch.nn.Sequential(torch.nn.Linear(8, 64), torch.nn.ReLU(), torch.nn.Linear(64, 3))
        >>> model = Elastic(net, (torch.zeros(2, 8),))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     export(model, 0.25, Path(folder) / "small.safetensors").max_difference
        0.0
    """
    find_format(path)
    small = model.extract(width, calibrate=calibrate, refit=refit)
    args, kwargs = model.example_batch(2)
    plain = Plain(
        net=small,
        example=Example(args=args, kwargs=kwargs),
        batch_axes=model.input_batch_axes,
        facts=_facts(model, width),
    )
    batches = [_random_inputs(model, 2), _random_inputs(model, 1)] if inputs is None else list(inputs)
    return export_network(plain, path, batches)


def _facts(model: Elastic, width: Width) -> dict[str, str]:
    environment = describe_environment()
    score = getattr(width, "score", None)
    facts = {
        "made_by": f"widthwise {environment['widthwise']}",
        "torch": str(environment["torch"]),
        "widths": json.dumps(model.widths(width)),
    }
    return facts if score is None else {**facts, "score": repr(score)}


def _random_inputs(model: Elastic, num_samples: int) -> Example:
    generator = torch.Generator().manual_seed(num_samples)

    def redraw(leaf: object) -> object:
        if not isinstance(leaf, Tensor) or not leaf.is_floating_point():
            return leaf
        return torch.randn(leaf.shape, generator=generator).to(leaf)

    args, kwargs = pytree.tree_map(redraw, model.example_batch(num_samples))
    return Example(args=args, kwargs=kwargs)
