"""Export a plain network to a file that is kept only if its own runtime reads it back and computes the same."""

import errno
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import nn
from torch.utils import _pytree as pytree

from widthwise._shared import ExportError, NoPointError, WidthwiseError, replace_file
from widthwise.graph import Example
from widthwise.slicing.difference import compare_outputs
from widthwise.slicing.finish.dtype import find_slack
from widthwise.slicing.folder import replace_folder
from widthwise.slicing.formats import Format, Plain, find_format, find_reason
from widthwise.slicing.read_back import ReadBack, count_samples, cut_batch

__all__ = ["Exported", "export_network"]

# What a full disk, a full quota and a limit on the size of files are called.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True, kw_only=True, slots=True)
class Exported:
    """A file that was checked.

    Attributes:
        path: The file, or the folder.
        size_bytes: Its size; of a folder, that of all its files.
        max_difference: The largest difference between what the file and the network compute, relative to the largest
            entry of that output. The network is the one before weights were converted to another dtype.
        num_inputs: The samples on which they were compared.
        neighbours: The files that go with it and stand beside it.
        net: Runs the file in its own runtime, for a score; it takes and returns what the network does.
    """

    path: Path
    size_bytes: int
    max_difference: float
    num_inputs: int
    neighbours: tuple[Path, ...]
    net: nn.Module = field(repr=False, compare=False)


def export_network(
    plain: Plain,
    path: str | Path,
    inputs: Sequence[Example],
    *,
    reference: nn.Module | None = None,
    max_bytes: int | None = None,
) -> Exported:
    """Write a network to a file and check it before it takes the file's name.

    Args:
        plain: The network.
        path: Its suffix names the format: .safetensors, .pt, .pt2, .onnx or .pte; one that ends in "/" is a folder of
            Hugging Face.
        inputs: Batches of several sizes, on which the file is compared with the network.
        reference: The network before its weights were converted to `plain.dtype`; None where they were not.
        max_bytes: A larger file is not kept.

    Raises:
        ExportError: Unknown suffix, a dtype or a network that the format cannot express, a full disk, or a file that
            computes something else; then nothing is kept, and what stood there before is untouched.
        NoPointError: The file is larger than `max_bytes`; as above.
        MissingExtraError: The format needs an extra.
    """
    target, file_format = Path(path), find_format(path)
    _check(plain, file_format, target, inputs)
    replace = replace_folder if file_format.is_folder else replace_file
    with replace(target, error=ExportError) as temporary, _aside(target) as written:
        net, difference = _write(plain, file_format, written, target, inputs, reference or plain.net)
        _check_difference(difference, plain, target)
        size_bytes = _measure(written)
        if max_bytes is not None and size_bytes > max_bytes:
            raise NoPointError(
                f"expected a file of at most {max_bytes:,} bytes, got {size_bytes:,} as {target.suffix or 'a folder'}; "
                "it was not kept: take another format, such as .safetensors, or a narrower width"
            )
        neighbours = tuple(_move_neighbours(written, target))
        written.replace(temporary)
    return Exported(
        path=target,
        size_bytes=size_bytes,
        max_difference=difference,
        num_inputs=sum(count_samples(plain, part) for batch in inputs for part in cut_batch(plain, batch, None)),
        neighbours=neighbours,
        net=net,
    )


def _check(plain: Plain, file_format: Format, target: Path, inputs: Sequence[Example]) -> None:
    if not inputs:
        raise ExportError(
            "expected inputs on which to compare the file with the network, got none; give a batch, or leave them out"
        )
    if plain.dtype is not None and plain.dtype not in file_format.dtypes:
        raise ExportError(
            f"expected a dtype that {target.suffix or 'a folder of Hugging Face'} can hold "
            f"({', '.join(file_format.dtypes)}), got {plain.dtype}; take one of these, or another format"
        )


@contextmanager
def _aside(target: Path) -> Generator[Path]:
    """Yield a path under the same name, which some formats write down, in a folder apart that is removed then."""
    try:
        folder = TemporaryDirectory(dir=target.parent, prefix=".")
    except OSError as error:
        raise _no_room(target, find_reason(error)) from error
    with folder:
        yield Path(folder.name) / target.name


@torch.no_grad()
def _write(
    plain: Plain, file_format: Format, path: Path, target: Path, inputs: Sequence[Example], reference: nn.Module
) -> tuple[ReadBack, float]:
    """Write a file, read it back, and return what it computes with the largest difference on any of the inputs."""
    try:
        file_format.write(plain, path)
        read = file_format.read(plain, path)
        example = plain.example
        net = ReadBack(plain, read, file_format.max_batch, plain.net(*example.args, **example.kwargs))
        parts = (part for batch in inputs for part in cut_batch(plain, batch, file_format.max_batch))
        differences = [
            compare_outputs(
                pytree.tree_leaves(reference(*part.args, **part.kwargs)),
                net.run_part(part),
                is_cast=plain.dtype is not None,
            )
            for part in parts
        ]
        return net, max(differences)
    except WidthwiseError:
        raise
    except Exception as error:
        reason = find_reason(error)
        if _is_full(error):
            raise _no_room(target, reason) from error
        raise ExportError(
            f"expected a network that can be written as {target.suffix or 'a folder'} and read back, got: {reason}; "
            "export another format"
        ) from error


def _no_room(target: Path, reason: str) -> ExportError:
    return ExportError(
        f"expected to be able to write {target}, got: {reason}; make room, or give a path on another disk"
    )


def _is_full(error: BaseException) -> bool:
    """Whether a writer failed for want of room; those in other languages tell it in their text alone."""
    while error.__cause__ is not None:
        error = error.__cause__
    if isinstance(error, OSError):
        return error.errno in _FULL
    return any(f"os error {number}" in str(error) or f"code: {number}," in str(error) for number in _FULL)


def _check_difference(difference: float, plain: Plain, target: Path) -> None:
    tolerance = _own_tolerance(plain) if plain.dtype is None else find_slack(plain.dtype)
    if not difference <= tolerance:
        raise ExportError(
            f"expected {target.name} to compute what the network does, got a relative difference of "
            f"{difference:.2g} (at most {tolerance:.2g}{f' in {plain.dtype}' if plain.dtype else ''}); the file was "
            f"not kept, export another {'dtype' if plain.dtype else 'format'}"
        )


def _own_tolerance(plain: Plain) -> float:
    dtypes = {tensor.dtype for tensor in plain.net.state_dict().values() if tensor.is_floating_point()}
    return 1e-5 if dtypes <= {torch.float32, torch.float64} else 1e-2


def _measure(path: Path) -> int:
    files = [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files)


def _move_neighbours(written: Path, target: Path) -> Iterator[Path]:
    for file in sorted(written.parent.iterdir()):
        if file != written:
            place = target.with_name(file.name)
            with replace_file(place, error=ExportError) as temporary:
                file.replace(temporary)
            yield place
