"""Switch off what a caller's surroundings add to a computation."""

from collections.abc import Generator
from contextlib import contextmanager

import torch

__all__ = ["plain_context"]


@contextmanager
def plain_context() -> Generator[None]:
    """Run a block as PyTorch does by itself, whatever autocast, no_grad or inference mode stand around it."""
    with torch.inference_mode(False), torch.enable_grad(), torch.autocast("cpu", enabled=False):
        if not torch.cuda.is_available():
            yield
            return
        with torch.autocast("cuda", enabled=False):
            yield
