"""Octaves of width: what is learned for full width, a half, a quarter and so on serves the widths between them too.

Rows of values belong to the octaves below full width, where a network is the plain one and has none. Between two
octaves both rows count, by how near they are, so that nothing jumps from one width to the next.
"""

import math

from torch import Tensor

from widthwise._shared import GroupError

__all__ = ["blend", "count_octaves"]


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
    if not 0 < fraction <= 1:
        raise GroupError(f"a fraction must lie in (0, 1], got {fraction!r}; use 1.0 for the full model")
    octave = min(-math.log2(fraction), float(len(rows)))
    above = math.floor(octave)
    share = octave - above
    if share == 0:
        return rows[above - 1] if above else None
    below = rows[above] * share
    return rows[above - 1] * (1 - share) + below if above else below
