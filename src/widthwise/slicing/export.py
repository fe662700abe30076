"""Export a plain network to a file that is kept only if its own runtime reads it back and computes the same."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.utils import _pytree as pytree

from widthwise._shared import ExportError, WidthwiseError, replace_file
from widthwise.graph import Example
from widthwise.slicing.formats import Format, Plain, find_format, find_reason

__all__ = ["Exported", "export_network"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Exported:
    """A file that was checked.

    Attributes:
        path: The file.
        size_bytes: Its size.
        max_difference: The largest difference between what the file and the network compute, relative to the largest
            entry of that output.
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
        ExportError: Unknown suffix, a network that the format cannot express, or a file that computes something else;
            then nothing is kept, and what stood there before is untouched.
        MissingExtraError: The format needs the extra `export`.
    """
    target = Path(path)
    file_format = find_format(target)
    if not inputs:
        raise ExportError(
            "expected inputs on which to compare the file with the network, got none; give a batch, or leave them out"
        )
    with replace_file(target, error=ExportError) as temporary:
        difference = _write(plain, file_format, temporary, inputs)
        tolerance = _tolerance(plain)
        if not difference <= tolerance:
            raise ExportError(
                f"expected {target.name} to compute what the network does, got a relative difference of "
                f"{difference:.2g} (at most {tolerance:g}); the file was not kept, export another format"
            )
    return Exported(
        path=target,
        size_bytes=target.stat().st_size,
        max_difference=difference,
        num_inputs=sum(_count_samples(plain, batch) for batch in inputs),
    )


@torch.no_grad()
def _write(plain: Plain, file_format: Format, path: Path, inputs: Sequence[Example]) -> float:
    """Write a file, read it back, and return the largest difference on any of the inputs."""
    try:
        file_format.write(plain, path)
        read = file_format.read(plain, path)
        return max(
            _compare(pytree.tree_leaves(plain.net(*batch.args, **batch.kwargs)), read(batch))
            for batch in (_in_order(plain, batch) for batch in inputs)
        )
    except WidthwiseError:
        raise
    except Exception as error:
        raise ExportError(
            f"expected a network that can be written as {path.suffix} and read back, got: {find_reason(error)}; export "
            "another format"
        ) from error


def _in_order(plain: Plain, inputs: Example) -> Example:
    """Return inputs with their keywords in the order of the example, by which files take them."""
    return Example(args=inputs.args, kwargs={name: inputs.kwargs[name] for name in plain.example.kwargs})


def _compare(expected: Sequence[object], got: Sequence[object]) -> float:
    left = [leaf for leaf in expected if isinstance(leaf, torch.Tensor)]
    right = [leaf for leaf in got if isinstance(leaf, torch.Tensor)]
    if len(left) != len(right):
        return float("inf")
    return max((_gap(one, other) for one, other in zip(left, right, strict=True)), default=0.0)


def _gap(one: torch.Tensor, other: torch.Tensor) -> float:
    """Return the largest difference of two outputs; infinity where they are not of one kind, or not finite alike."""
    one, other = one.cpu(), other.cpu()
    if one.shape != other.shape or one.dtype != other.dtype:
        return float("inf")
    if not one.is_floating_point() and not one.is_complex():
        return 0.0 if torch.equal(one, other) else float("inf")
    finite = torch.isfinite(one)
    if not torch.equal(finite, torch.isfinite(other)):
        return float("inf")
    if not torch.equal(one[~finite].nan_to_num(), other[~finite].nan_to_num()):
        return float("inf")
    if not bool(finite.any()):
        return 0.0
    scale = max(float(one[finite].abs().max()), 1e-30)
    return float((one[finite] - other[finite]).abs().max()) / scale


def _tolerance(plain: Plain) -> float:
    dtypes = {tensor.dtype for tensor in plain.net.state_dict().values() if tensor.is_floating_point()}
    return 1e-5 if dtypes <= {torch.float32, torch.float64} else 1e-2


def _count_samples(plain: Plain, inputs: Example) -> int:
    leaves = _in_order(plain, inputs).leaves()
    return next((leaf.shape[axis] for leaf, axis in zip(leaves, plain.batch_axes, strict=True) if axis is not None), 0)
