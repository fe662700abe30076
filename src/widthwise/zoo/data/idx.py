"""The IDX format of MNIST: gzip around a magic number, the sizes of the axes, and unsigned bytes.

Source: Y. LeCun, C. Cortes, C. Burges, "The MNIST database of handwritten digits", section "file formats".
"""

import gzip
import math
import zlib

import torch
from torch import Tensor

from widthwise._shared import DataError

__all__ = ["decode_idx"]

_REMEDY = "replace the file by the original one"

# Type code of the format, the third byte of the magic number.
_UNSIGNED_BYTE = 0x08


def decode_idx(compressed: bytes, *, name: str, num_dims: int) -> Tensor:
    """Return the uint8 tensor held by the bytes of an IDX .gz file.

    Args:
        compressed: the bytes of the .gz file.
        name: what to call the file in an error.
        num_dims: axes that the file must have: 3 for pictures, 1 for labels.

    Raises:
        DataError: the gzip stream is damaged, or magic number, sizes and length do not fit together.
    """
    raw = _decompress(compressed, name)
    shape = _read_shape(raw, name, num_dims)
    start = 4 + 4 * num_dims
    expected, got = math.prod(shape), len(raw) - start
    if got != expected:
        raise DataError(f"{name} must hold {expected} bytes of data for its shape {shape}, got {got}; {_REMEDY}")
    if not expected:
        raise DataError(f"{name} must hold at least one entry, got the shape {shape}; {_REMEDY}")
    return torch.frombuffer(bytearray(raw), dtype=torch.uint8, offset=start).reshape(shape)


def _decompress(compressed: bytes, name: str) -> bytes:
    """Return the unpacked bytes; DataError when they are no whole gzip stream."""
    try:
        return gzip.decompress(compressed)
    except (EOFError, OSError, zlib.error) as error:
        raise DataError(f"{name} must be a whole gzip file, got a damaged or truncated one; {_REMEDY}") from error


def _read_shape(raw: bytes, name: str, num_dims: int) -> tuple[int, ...]:
    """Return the sizes of the axes after checking the magic number: two zero bytes, type code, number of axes."""
    magic = bytes([0, 0, _UNSIGNED_BYTE, num_dims])
    header = raw[: 4 + 4 * num_dims]
    if header[:4] != magic or len(header) < 4 + 4 * num_dims:
        raise DataError(
            f"{name} must start with the IDX magic number {magic.hex()} and {num_dims} sizes, "
            f"got {header.hex() or 'nothing'}; {_REMEDY}"
        )
    return tuple(int.from_bytes(header[i : i + 4], "big") for i in range(4, len(header), 4))
