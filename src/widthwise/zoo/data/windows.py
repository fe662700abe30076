"""Samples out of a long text: columns that run on from window to window, or windows in any order."""

# N tokens of the text, T tokens of a column or of a window, B columns or batch, W windows
from collections.abc import Iterator

import torch
from torch import Tensor

from widthwise._shared import DataError

__all__ = ["cut_windows", "iterate_windows", "lay_columns", "shuffle_windows"]


def lay_columns(tokens_N: Tensor, num_columns: int) -> Tensor:
    """Return the text as (time, batch): column b holds its b-th part, from top to bottom; the rest is left out.

    Laid so, a window of rows goes on where the window above it ended, in every column: a recurrent network that
    carries its state from window to window reads each column as one text.

    Raises:
        DataError: A column would hold fewer than two tokens, one to read and one to predict.

    Example:
        >>> lay_columns(torch.arange(7), 3)
        tensor([[0, 2, 4],
                [1, 3, 5]])
    """
    _check_positive("num_columns", num_columns)
    length = len(tokens_N) // num_columns
    if length < 2:
        raise DataError(
            f"{num_columns} columns need at least {2 * num_columns} tokens, got {len(tokens_N)}; lay fewer columns"
        )
    return tokens_N[: length * num_columns].reshape(num_columns, length).t().contiguous()


def iterate_windows(columns_TB: Tensor, length: int, *, whole_only: bool = False) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield (inputs, targets), each (length, B), from top to bottom; the last window may be shorter.

    The target of a token is the one below it, so every row but the first is predicted once.

    Args:
        columns_TB: The text, as `lay_columns` lays it.
        length: Rows of a window.
        whole_only: Leave a shorter last window out, for a network that was traced at one length.

    Raises:
        DataError: The length is not positive.

    Example:
        >>> windows = iterate_windows(lay_columns(torch.arange(8), 2), 2)
        >>> [(inputs[:, 0].tolist(), targets[:, 0].tolist()) for inputs, targets in windows]
        [([0, 1], [1, 2]), ([2], [3])]
    """
    _check_positive("length", length)
    last = len(columns_TB) - 1
    last -= last % length if whole_only else 0
    return (
        (columns_TB[start : min(start + length, last)], columns_TB[start + 1 : min(start + length, last) + 1])
        for start in range(0, last, length)
    )


def cut_windows(tokens_N: Tensor, length: int, *, start: int = 0) -> tuple[Tensor, Tensor]:
    """Return (inputs, targets), each (W, length), windows side by side from `start` on; what is left is left out.

    Raises:
        DataError: The length is not positive, the start is negative, or the text is too short for one window.

    Example:
        >>> cut_windows(torch.arange(6), 2)
        (tensor([[0, 1],
                [2, 3]]), tensor([[1, 2],
                [3, 4]]))
    """
    _check_positive("length", length)
    if start < 0:
        raise DataError(f"start must be 0 or a later token, got {start}; count from the beginning of the text")
    count = (len(tokens_N) - 1 - start) // length
    if count < 1:
        raise DataError(
            f"a window of {length} from token {start} needs {start + length + 1} tokens, got {len(tokens_N)}; take a "
            "shorter one"
        )
    inputs_WT, targets_WT = (
        tokens_N[first : first + count * length].reshape(count, length) for first in (start, start + 1)
    )
    return inputs_WT, targets_WT


def shuffle_windows(
    tokens_N: Tensor, length: int, batch_size: int, generator: torch.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield (inputs, targets), each (B, length), over all windows in a random order; the last batch may be smaller.

    The first window begins at one of the first `length` tokens, drawn too, so that no two passes cut the text at the
    same places. Each pass has the same number of windows, `len(tokens_N) // length - 1`.

    Raises:
        DataError: The length or the batch size is not positive, or the text is shorter than two windows.
    """
    _check_positive("length", length)
    _check_positive("batch_size", batch_size)
    count = len(tokens_N) // length - 1
    if count < 1:
        raise DataError(
            f"shuffled windows of {length} need a text of {2 * length} tokens, got {len(tokens_N)}; take shorter ones"
        )
    device = generator.device
    start = int(torch.randint(length, (), generator=generator, device=device))
    order_W = torch.randperm(count, generator=generator, device=device).to(tokens_N.device)
    inputs_WT, targets_WT = cut_windows(tokens_N, length, start=start)
    return ((inputs_WT[chosen_B], targets_WT[chosen_B]) for chosen_B in order_W.split(batch_size))


def _check_positive(name: str, value: int) -> None:
    if value < 1:
        raise DataError(f"{name} must be a positive integer, got {value}; write for example 32")
