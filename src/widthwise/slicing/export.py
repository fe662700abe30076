"""Export a plain network to a file that is kept only if its own runtime reads it back and computes the same."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.utils import _pytree as pytree

from widthwise._shared import ExportError, replace_file
from widthwise.graph import Example
from widthwise.slicing.formats import FORMATS, Plain

__all__ = ["Exported", "export_network"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Exported:
    """A file that was checked.

    Attributes:
        path: The file.
        size_bytes: Its size.
        max_difference: The largest difference between what the file and the network compute, relative to the largest output.
        num_inputs: The samples on which they were compared.
    """

    path: Path
    size_bytes: int
    max_difference: float
    num_inputs: int


def export_network(plain: Plain, path: str | Path, inputs: Sequence[Example]) -> Exported:
    """Write a network to a file and check it before it takes the file's name.

    Args:
        plain: The network.
        path: Its suffix names the format: .safetensors, .pt, .pt2 or .onnx.
        inputs: Batches of several sizes, on which the file is compared with the network.

    Raises:
        ExportError: Unknown suffix, a network that the format cannot express, or a file that computes something else; then nothing
            is kept, and what stood there before is untouched.
        MissingExtraError: The format needs the extra `export`.
    """
    target = Path(path)
    if target.suffix not in FORMATS:
        raise ExportError(
            f"expected a file name ending in one of {', '.join(FORMATS)}, got {target.name!r}; choose one of these"
        )
    with replace_file(target, error=ExportError) as temporary:
        FORMATS[target.suffix].write(plain, temporary)
        difference = max(_compare(plain, temporary, batch) for batch in inputs)
        tolerance = _tolerance(plain)
        if not difference <= tolerance:
            raise ExportError(
                f"expected {target.name} to compute what the network does, got a relative difference of {difference:.2g} "
                f"(at most {tolerance:g}); the file was not kept, export another format"
            )
    size = sum(batch.leaves()[0].shape[0] for batch in inputs)
    return Exported(path=target, size_bytes=target.stat().st_size, max_difference=difference, num_inputs=size)


@torch.no_grad()
def _compare(plain: Plain, path: Path, inputs: Example) -> float:
    expected = [
        leaf for leaf in pytree.tree_leaves(plain.net(*inputs.args, **inputs.kwargs)) if isinstance(leaf, torch.Tensor)
    ]
    got = [leaf for leaf in FORMATS[path.suffix].read(plain, path)(inputs) if isinstance(leaf, torch.Tensor)]
    if [leaf.shape for leaf in expected] != [leaf.shape for leaf in got]:
        return float("inf")
    return max((_gap(one, other) for one, other in zip(expected, got, strict=True)), default=0.0)


def _gap(one: torch.Tensor, other: torch.Tensor) -> float:
    if one.numel() == 0:
        return 0.0
    scale = max(float(one.abs().max()), 1e-30)
    return float((one.double() - other.double()).abs().max()) / scale


def _tolerance(plain: Plain) -> float:
    dtypes = {tensor.dtype for tensor in plain.net.state_dict().values() if tensor.is_floating_point()}
    return 1e-5 if dtypes <= {torch.float32, torch.float64} else 1e-2
