"""Octaves of width: what is learned for full width, a half, a quarter and so on serves the widths between them too.

Rows of values belong to the octaves below full width, where a network is the plain one and has none. Between two
octaves both rows count, by how near they are, so that nothing jumps from one width to the next.
"""

import math

from torch import Tensor

from widthwise._shared import GroupError

__all__ = ["blend", "count_octaves", "share_octaves"]


def count_octaves(lowest: float) -> int:
    """Return how many octaves below full width there are down to a fraction, one at least."""
    return max(1, round(-math.log2(lowest)))


def blend(rows: Tensor, fraction: float) -> Tensor | None:
    """Return the values at a fraction of the full width; None at full width.

    Args:
        rows: Values (octaves, ...) of a half, a quarter, and so on; zero at full width.
        fraction: In (0, 1]; below the last octave its row serves.

    Raises:
        GroupError: The fraction is out of range.

    Example:
        >>> import torch
        >>> blend(torch.tensor([[1.0], [3.0]]), 2**-1.5)
        tensor([2.])
    """
    shares = share_octaves(fraction, len(rows))
    parts = [rows[row] if share == 1 else rows[row] * share for row, share in shares]
    return sum(parts[1:], parts[0]) if parts else None


def share_octaves(fraction: float, num_octaves: int) -> list[tuple[int, float]]:
    """Return which octaves count at a fraction of the full width, and how much; none at full width.

    Args:
        fraction: In (0, 1]; below the last octave that one serves.
        num_octaves: How many there are; 0 is the first below full width.

    Raises:
        GroupError: The fraction is out of range.
    """
    if not 0 < fraction <= 1:
        raise GroupError(f"a fraction must lie in (0, 1], got {fraction!r}; use 1.0 for the full model")
    octave = min(-math.log2(fraction), float(num_octaves))
    above = math.floor(octave)
    shares = [(above - 1, 1 - (octave - above)), (above, octave - above)]
    return [(row, share) for row, share in shares if row >= 0 and share > 0]
