import gzip
from collections.abc import Callable

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from widthwise._shared import DataError
from widthwise.zoo.data.idx import decode_idx

Encode = Callable[[Tensor], bytes]
REMEDY = "replace the file by the original one"


def decode(raw: bytes, num_dims: int = 1) -> Tensor:
    return decode_idx(gzip.compress(raw), name="x.gz", num_dims=num_dims)


@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(shape=st.lists(st.integers(1, 6), min_size=1, max_size=3), seed=st.integers(0, 2**31))
def test_what_was_packed_comes_back(encode_idx: Encode, shape: list[int], seed: int) -> None:
    values = torch.randint(256, shape, generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)
    out = decode_idx(encode_idx(values), name="x.gz", num_dims=len(shape))
    assert out.dtype == torch.uint8
    assert torch.equal(out, values)


def test_sizes_are_read_as_big_endian() -> None:
    assert decode(b"\0\0\x08\x01" + b"\0\0\x01\x02" + bytes(258)).shape == (258,)


@pytest.mark.parametrize("keep", [0, 1, 15, 30])
def test_a_truncated_gzip_stream_is_an_error(encode_idx: Encode, keep: int) -> None:
    content = encode_idx(torch.arange(40, dtype=torch.uint8))[:keep]
    with pytest.raises(DataError) as caught:
        decode_idx(content, name="labels.gz", num_dims=1)
    if keep:
        assert str(caught.value) == f"labels.gz must be a whole gzip file, got a damaged or truncated one; {REMEDY}"
    else:
        assert str(caught.value) == (
            f"labels.gz must start with the IDX magic number 00000801 and 1 sizes, got nothing; {REMEDY}"
        )


@pytest.mark.parametrize("position", [0, 12, -5])
def test_a_damaged_gzip_stream_is_an_error(encode_idx: Encode, position: int) -> None:
    content = bytearray(encode_idx(torch.arange(40, dtype=torch.uint8)))
    content[position] ^= 0xFF
    with pytest.raises(DataError, match=r"^x\.gz must be a whole gzip file, got a damaged or truncated one; replace"):
        decode_idx(bytes(content), name="x.gz", num_dims=1)


@pytest.mark.parametrize(
    ("header", "num_dims"),
    [
        ("0000080100000001", 3),  # labels where pictures should be
        ("00000d0100000001", 1),  # floats
        ("0100080100000001", 1),  # no magic number
        ("000008010000", 1),  # cut in the sizes
    ],
)
def test_another_header_is_an_error_that_shows_it(header: str, num_dims: int) -> None:
    with pytest.raises(DataError) as caught:
        decode(bytes.fromhex(header), num_dims)
    assert str(caught.value) == (
        f"x.gz must start with the IDX magic number 0000080{num_dims} and {num_dims} sizes, got {header}; {REMEDY}"
    )


@pytest.mark.parametrize("got", [0, 5, 7])
def test_data_that_do_not_fill_the_shape_are_an_error(got: int) -> None:
    with pytest.raises(DataError) as caught:
        decode(b"\0\0\x08\x02" + b"\0\0\0\x02" + b"\0\0\0\x03" + bytes(got), 2)
    assert str(caught.value) == f"x.gz must hold 6 bytes of data for its shape (2, 3), got {got}; {REMEDY}"


def test_a_file_without_entries_is_an_error() -> None:
    with pytest.raises(DataError) as caught:
        decode(b"\0\0\x08\x02" + bytes(4) + b"\0\0\0\x03", 2)
    assert str(caught.value) == f"x.gz must hold at least one entry, got the shape (0, 3); {REMEDY}"
