"""How many bytes the .safetensors file of a network has, told without writing it, also at other precisions.

The format: eight bytes with the length of the header, the header as JSON padded with spaces to a multiple of eight,
then the bytes of the tensors. A header gives each tensor's offsets in decimal, so its length depends on the order of
the tensors: by dtype, then by name.
"""

import json
import math
from collections.abc import Iterator
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter

from widthwise._shared import WidthwiseError

__all__ = ["PRECISIONS", "Precision", "safetensors_bytes", "state_on_disk"]

Precision = Literal["float32", "float16", "bfloat16", "int8"]
"""How floating-point tensors are stored. With int8 those of two axes or more are, each with a float32 scale for every
entry of its first axis, named after it with `_scale` at the end; the others, such as biases, stay float32."""

PRECISIONS: tuple[Precision, ...] = get_args(Precision)
"""All of them."""

# Every dtype with its name in the file, in the order in which the format lays tensors out: the Dtype enumeration of
# safetensors, last one first.
_NAMES: dict[torch.dtype, str] = {
    torch.uint64: "U64",
    torch.int64: "I64",
    torch.float64: "F64",
    torch.complex64: "C64",
    torch.float32: "F32",
    torch.uint32: "U32",
    torch.int32: "I32",
    torch.bfloat16: "BF16",
    torch.float16: "F16",
    torch.uint16: "U16",
    torch.int16: "I16",
    torch.float8_e4m3fn: "F8_E4M3",
    torch.float8_e5m2: "F8_E5M2",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
_RANKS = {dtype: rank for rank, dtype in enumerate(_NAMES)}

# A tensor in a file: its name, dtype and shape.
_Entry = tuple[str, torch.dtype, tuple[int, ...]]

_LENGTH_BYTES = 8
_ALIGNMENT = 8


def safetensors_bytes(net: nn.Module, *, room: int = 0, precision: Precision | None = None) -> int:
    """Return the bytes of the .safetensors file of `net`, which holds its `state_on_disk`.

    Nothing is written, copied or converted, and a network on the meta device will do.

    Args:
        net: The network.
        room: Bytes of the header that are kept for metadata.
        precision: How floating-point tensors are stored; None for as they are. Others, such as counters, stay.

    Raises:
        WidthwiseError: Where a tensor has no shape yet, or a dtype that the format lacks.

    Example:
        >>> net = nn.Linear(1000, 100)
        >>> [round(safetensors_bytes(net, precision=p) / 1000) for p in ("float32", "float16", "int8")]
        [401, 200, 101]
    """
    entries = [entry for name, tensor in state_on_disk(net).items() for entry in _store(name, tensor, precision)]
    header: dict[str, object] = {}
    offset = 0
    for name, dtype, shape in sorted(entries, key=lambda entry: (_rank(entry[0], entry[1]), entry[0].encode())):
        end = offset + math.prod(shape) * dtype.itemsize
        header[name] = {"dtype": _NAMES[dtype], "shape": list(shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    return _LENGTH_BYTES + -(-(len(text) + room) // _ALIGNMENT) * _ALIGNMENT + offset


def state_on_disk(net: nn.Module) -> dict[str, Tensor]:
    """Return the tensors that a file of `net` has to hold: its state_dict, each tied tensor once, by its first name.

    Tied are two names for the same piece of memory, seen with the same shape and strides. Dtypes are as they are in
    `net`, and entries that are no tensors (extra state of a module) are left out.

    Raises:
        WidthwiseError: Where a tensor of a lazy module has no shape yet.
    """
    kept: dict[object, str] = {}
    state: dict[str, Tensor] = {}
    # keep_vars: a lazy module's tensor is only told apart from others while it is not detached.
    for name, tensor in net.state_dict(keep_vars=True).items():
        if isinstance(tensor, UninitializedParameter | UninitializedBuffer):
            raise WidthwiseError(
                f"expected tensors with a shape, got the uninitialised {name} of a lazy module; run the network once "
                "first"
            )
        if isinstance(tensor, Tensor) and kept.setdefault(_memory_of(tensor), name) == name:
            state[name] = tensor.detach()
    return state


def _memory_of(tensor: Tensor) -> object:
    # By the storage object and not by its address: empty tensors and those of the meta device all have address 0.
    storage = torch.multiprocessing.reductions.StorageWeakRef(tensor.untyped_storage())
    return storage.cdata, tensor.storage_offset(), tensor.shape, tensor.stride()


def _store(name: str, tensor: Tensor, precision: Precision | None) -> Iterator[_Entry]:
    """Yield what a file holds of a tensor."""
    shape = tuple(tensor.shape)
    if precision is None or not tensor.is_floating_point():
        yield name, tensor.dtype, shape
    elif precision == "int8" and len(shape) > 1:
        yield name, torch.int8, shape
        yield f"{name}_scale", torch.float32, shape[:1]
    else:
        yield name, torch.float32 if precision == "int8" else getattr(torch, precision), shape


def _rank(name: str, dtype: torch.dtype) -> int:
    if dtype not in _RANKS:
        raise WidthwiseError(
            f"expected dtypes that a .safetensors file can hold, got {dtype} in {name}; convert that tensor first"
        )
    return _RANKS[dtype]
