"""A short name for trained weights: other weights, another name."""

import hashlib
from collections.abc import Mapping
from typing import Protocol

import torch
from torch import Tensor

__all__ = ["hash_model", "hash_tensors"]


class HasTensors(Protocol):
    """What is asked of a model here."""

    def state_dict(self) -> dict[str, Tensor]:
        """Return the weights."""
        ...

    def elastic_state(self) -> dict[str, Tensor]:
        """Return the tensors that the model keeps beside the weights."""
        ...


def hash_model(model: HasTensors) -> str:
    """Return the `hash_tensors` of all that a model computes with."""
    extra = {f"elastic {name}": tensor for name, tensor in model.elastic_state().items()}
    return hash_tensors({**model.state_dict(), **extra})


def hash_tensors(tensors: Mapping[str, Tensor]) -> str:
    """Return 32 hexadecimal digits, of SHA-256 over the names, dtypes, shapes and values of the tensors in order.

    Example:
        >>> one, two = {"a": torch.zeros(2)}, {"a": torch.ones(2)}
        >>> hash_tensors(one) == hash_tensors(one), hash_tensors(one) == hash_tensors(two)
        (True, False)
    """
    digest = hashlib.sha256()
    for name, tensor in tensors.items():
        digest.update(repr((name, str(tensor.dtype), tuple(tensor.shape))).encode())
        # numpy knows no bfloat16: its bytes are read as what they are.
        values = tensor.detach().cpu().reshape(-1).view(torch.uint8)
        digest.update(values.numpy().data)
    return digest.hexdigest()[:32]
