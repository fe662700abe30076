"""What one step of training works on."""

# B batch
from dataclasses import dataclass
from typing import final

from torch import Tensor

__all__ = ["Batch"]


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """Samples of one step, and which step of which epoch (both from 1) it is.

    `indices` are the places of the samples in the training split; of a window of text it is that of its first token.
    """

    indices: Tensor
    epoch: int
    step: int
    is_last: bool
