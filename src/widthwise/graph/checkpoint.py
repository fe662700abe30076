"""Let activation checkpoints call their function plainly while a network is traced.

`torch.utils.checkpoint.checkpoint(..., use_reentrant=True)` runs its function without gradients and runs it again for
them. A trace would see no gradients from there on.
"""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

from torch.utils import checkpoint

__all__ = ["plain_checkpoints"]


class _Plain:
    """In place of `torch.utils.checkpoint.CheckpointFunction`."""

    @staticmethod
    def apply(function: Callable[..., Any], preserve: bool, *args: Any) -> Any:
        del preserve  # of the state of random numbers, which one call leaves alone
        return function(*args)


@contextmanager
def plain_checkpoints() -> Generator[None]:
    """Call what is checkpointed without a checkpoint."""
    function, checkpoint.CheckpointFunction = checkpoint.CheckpointFunction, _Plain
    try:
        yield
    finally:
        checkpoint.CheckpointFunction = function
