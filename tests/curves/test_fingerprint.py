import hashlib
import struct

import pytest
import torch
from torch import Tensor

from widthwise.curves.fingerprint import hash_tensors

DTYPES = [torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.bool, torch.complex64]


def test_equal_tensors_have_equal_names() -> None:
    first, second = ({"w": torch.arange(6.0).view(2, 3)} for _ in range(2))

    assert hash_tensors(first) == hash_tensors(second)


def test_the_name_is_pinned() -> None:
    said = b"('w', 'torch.float32', (2,))" + struct.pack("<2f", 1.0, 2.0)

    assert hash_tensors({"w": torch.tensor([1.0, 2.0])}) == hashlib.sha256(said).hexdigest()[:32]


@pytest.mark.parametrize(
    "other",
    [
        {"v": torch.zeros(2, 3)},
        {"w": torch.zeros(3, 2)},
        {"w": torch.zeros(2, 3, dtype=torch.int32)},
        {"w": torch.tensor([[0.0, 0, 0], [0, 0, 1e-30]])},
        {"w": torch.zeros(2, 3), "v": torch.zeros(0)},
    ],
)
def test_another_name_shape_dtype_or_value_has_another_name(other: dict[str, Tensor]) -> None:
    assert hash_tensors(other) != hash_tensors({"w": torch.zeros(2, 3)})


def test_how_a_tensor_lies_in_memory_does_not_matter() -> None:
    tensor = torch.arange(6.0).view(2, 3)

    assert hash_tensors({"w": tensor.t().contiguous().t()}) == hash_tensors({"w": tensor})


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype_and_a_single_number_can_be_named(dtype: torch.dtype) -> None:
    zero, one = (hash_tensors({"w": torch.tensor(value, dtype=dtype)}) for value in (0, 1))

    assert len(zero) == 32
    assert zero != one
