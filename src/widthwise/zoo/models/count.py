"""What counts as a count: sizes of layers and numbers of blocks, as they may come from a recipe."""

from typing import TypeGuard

__all__ = ["is_count"]


def is_count(value: object) -> TypeGuard[int]:
    """Return whether `value` is a positive integer; a bool is none."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1
