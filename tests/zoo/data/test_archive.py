import io
from pathlib import Path

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


def test_a_file_is_as_good_as_its_bytes(tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(pack(one=np.arange(3)))
    assert read_arrays(tmp_path / "a.npz", name="a.npz", arrays=["one"])["one"].tolist() == [0, 1, 2]
    with pytest.raises(DataError, match=r"^b\.npz must be a whole \.npz file"):
        read_arrays(tmp_path / "b.npz", name="b.npz", arrays=["one"])


def test_one_bit_of_a_file_that_is_not_compressed_does_not_change_unseen() -> None:
    packed = io.BytesIO()
    np.savez(packed, one=np.arange(1000))
    content = bytearray(packed.getvalue())
    content[4000] ^= 1
    with pytest.raises(DataError, match=r"^a\.npz must be a whole \.npz file"):
        read_arrays(bytes(content), name="a.npz", arrays=["one"])


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
