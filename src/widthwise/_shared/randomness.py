"""Generators from a seed and a few integers, and their state as a tensor; the global random state is never touched."""

import hashlib
import operator

import torch
from torch import Tensor

from widthwise._shared.errors import RunError

__all__ = ["generator_state", "make_generator", "restore_generator"]

_ADVICE = "the checkpoint is damaged or from another version of torch: train again with --overwrite"


def make_generator(seed: int, *stream: int) -> torch.Generator:
    """Return a CPU generator for one stream of a seed: the same integers give the same draws, others unrelated ones.

    The integers are hashed together, so neighbouring seeds and streams are as unrelated as far ones, and `(1, 2)` is
    neither `(12,)` nor `(2, 1)`. The generator of torch keeps 32 bits of a seed, and so do we of the hash: among n
    streams two coincide with probability n^2 / 2^33.

    Args:
        seed: Any integer, negative ones included.
        stream: Integers that name what is drawn, such as an epoch and a purpose.

    Raises:
        TypeError: Where one of them is not an integer.

    Example:
        >>> draws = torch.rand(2, generator=make_generator(0, 3))
        >>> bool((draws == torch.rand(2, generator=make_generator(0, 3))).all())
        True
    """
    text = ",".join(str(operator.index(number)) for number in (seed, *stream))
    digest = hashlib.sha256(text.encode("ascii")).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:4], "big"))


def generator_state(generator: torch.Generator) -> Tensor:
    """Return the state of `generator` as a uint8 tensor of its own, which a safetensors file can hold."""
    return generator.get_state()


def restore_generator(generator: torch.Generator, state: Tensor) -> None:
    """Put `generator` back to a `state` that `generator_state` returned; the draws then go on as they did from there.

    Raises:
        RunError: Where `state` is not the state of such a generator.
    """
    expected = generator.get_state()
    if state.dtype != expected.dtype or state.shape != expected.shape:
        got = f"{state.dtype} of shape {tuple(state.shape)}"
        raise RunError(f"expected a generator state of {expected.numel()} bytes (torch.uint8), got {got}; {_ADVICE}")
    try:
        generator.set_state(state.cpu())
    except RuntimeError as cause:
        raise RunError(f"expected a valid generator state, got bytes that torch refuses; {_ADVICE}") from cause
