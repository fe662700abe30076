"""What counts as a count: sizes of layers and numbers of blocks, as they may come from a recipe."""

from collections.abc import Sequence
from typing import TypeGuard

from widthwise._shared import RecipeError

__all__ = ["check_counts", "check_share", "check_sizes", "is_count"]


def is_count(value: object) -> TypeGuard[int]:
    """Return whether `value` is a positive integer; a bool is none."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def check_counts(**settings: int) -> None:
    """Raise a RecipeError for the first setting that is no positive integer."""
    for name, value in settings.items():
        if not is_count(value):
            raise RecipeError(f"{name} must be a positive integer, got {value!r}; write for example 3")


def check_sizes(name: str, sizes: Sequence[int], *, what: str, example: str) -> None:
    """Raise a RecipeError unless `sizes` is one or more positive integers.

    Args:
        name: The setting.
        sizes: Its value.
        what: What each of them is, in the message.
        example: A good value, in the message.
    """
    if isinstance(sizes, str) or not isinstance(sizes, Sequence) or not sizes or not all(map(is_count, sizes)):
        raise RecipeError(
            f"{name} must be one or more positive integers ({what}), got {sizes!r}; write for example {example}"
        )


def check_share(name: str, value: float) -> None:
    """Raise a RecipeError unless `value` is a number in [0, 1), such as the share of units that dropout drops."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
        raise RecipeError(f"{name} must be a number from 0 to below 1, got {value!r}; write for example 0.1")
