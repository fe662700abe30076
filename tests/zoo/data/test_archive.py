import io

import numpy as np
import pytest

from widthwise._shared import DataError
from widthwise.zoo.data.archive import read_arrays

REMEDY = "replace the file by the original one"


def pack(**arrays: object) -> bytes:
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)  # pyright: ignore[reportArgumentType]
    return content.getvalue()


def test_the_arrays_that_are_asked_for_come_back() -> None:
    content = pack(one=np.arange(3, dtype=np.int16), other=np.ones((2, 2)), more=np.zeros(1))
    found = read_arrays(content, name="a.npz", arrays=["other", "one"])
    assert list(found) == ["other", "one"]
    assert (found["one"].tolist(), found["one"].dtype) == ([0, 1, 2], np.int16)


def test_a_missing_array_is_an_error_that_lists_what_is_there() -> None:
    with pytest.raises(DataError) as caught:
        read_arrays(pack(one=np.zeros(1), two=np.zeros(1)), name="a.npz", arrays=["one", "three"])
    assert str(caught.value) == f"a.npz must hold the arrays one, three, got one, two; {REMEDY}"


def single() -> bytes:
    content = io.BytesIO()
    np.save(content, np.zeros(3))
    return content.getvalue()


def flipped() -> bytes:
    content = bytearray(pack(one=np.arange(1000)))
    content[200] ^= 255
    return bytes(content)


@pytest.mark.parametrize(
    "content",
    [b"", b"no archive", pack(one=np.arange(100))[:-30], flipped(), single(), pack(one=np.array([{}], dtype=object))],
    ids=["empty", "text", "cut", "flipped", "single", "pickled"],
)
def test_anything_but_an_archive_of_plain_arrays_is_an_error(content: bytes) -> None:
    with pytest.raises(DataError) as caught:
        read_arrays(content, name="a.npz", arrays=["one"])
    assert str(caught.value) == f"a.npz must be a whole .npz file with the arrays one, got none; {REMEDY}"
