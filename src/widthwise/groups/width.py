"""How many units a fraction of a width group is: the one place where widths are rounded."""

import math

from widthwise._shared import WidthError

__all__ = ["check_count", "units"]


def units(fraction: float, size: int, lower_bound: int = 1, step: int = 1) -> int:
    """Return how many units a fraction of a group keeps: the nearest width that it has, a tie upwards.

    These are lower_bound, lower_bound + step, ... and the size itself. With a step of 1 a fraction f of n units keeps
    floor(f n + 1/2), at least the lower bound; one above the size keeps them all.

    Args:
        fraction: In (0, 1].
        size: Units of the group at full width, at least 1.
        lower_bound: The fewest units kept, at least 1.
        step: From one width to the next.

    Raises:
        WidthError: Where one of them is out of its range.

    Example:
        >>> units(0.25, 10), units(0.01, 10), units(0.01, 10, lower_bound=4)
        (3, 1, 4)
        >>> units(0.5, 30, lower_bound=8, step=8), units(0.8, 30, lower_bound=8, step=8)
        (16, 24)
    """
    if not 0 < fraction <= 1:
        raise WidthError(f"fraction must lie in (0, 1], got {fraction!r}; use 1.0 for the full width")
    check_count("size", size, "leave out a group without units")
    check_count("lower_bound", lower_bound, "use 1 for no bound")
    wanted = fraction * size
    if step == 1 or lower_bound >= size:
        return min(size, max(lower_bound, math.floor(wanted + 0.5)))
    top = lower_bound + (size - 1 - lower_bound) // step * step
    if wanted > top:
        return size if 2 * wanted >= top + size else top
    return lower_bound + step * max(0, math.floor((wanted - lower_bound) / step + 0.5))


def check_count(name: str, value: int, advice: str, *, least: int = 1) -> None:
    """Check that the setting `name` is a whole number, at least `least`; the error ends with `advice`.

    Raises:
        WidthError: Where it is not; a bool is none either.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < least:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise WidthError(f"{name} must be a whole number, at least {least}, got {value!r}; {advice}")
