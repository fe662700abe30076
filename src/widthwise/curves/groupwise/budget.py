"""Budgets: what networks of a search may cost, one limit or several at once, in one run a row of them."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from widthwise._shared import CurveError
from widthwise.curves.pick import Limits

__all__ = ["LIMITS", "Amount", "limited_costs", "make_budgets"]

LIMITS: Mapping[str, str] = MappingProxyType(
    {
        "params": "max_params",
        "macs": "max_macs",
        "bytes": "max_bytes",
        "latency_ms": "max_latency_ms",
        "memory_bytes": "max_memory",
    }
)
"""The limit on each cost of a `Point`."""

Amount = float | Sequence[float] | None
"""A limit, several of them to be searched under in one run, or none."""


def make_budgets(**amounts: Amount) -> tuple[Limits, ...]:
    """Return the budgets, the one that allows most first. Single numbers hold beside each number of a row.

    Args:
        amounts: By the name of the limit: `max_params`, `max_macs`, `max_bytes`, `max_latency_ms` or `max_memory`.

    Raises:
        CurveError: Where there is no limit, two rows, an empty row, or a limit that is no positive number.

    Example:
        >>> [budget.max_macs for budget in make_budgets(max_macs=[1000, 2000], max_params=50)]
        [2000, 1000]
    """
    given = {name: amount for name, amount in amounts.items() if amount is not None}
    if not given:
        raise CurveError(f"expected a budget to search under, got none; give {' or '.join(amounts)}")
    rows = {name: list(amount) for name, amount in given.items() if isinstance(amount, Sequence)}
    if len(rows) > 1:
        raise CurveError(
            f"expected several numbers for one limit at most, got them for {' and '.join(rows)}; search once for each"
        )
    for name, row in rows.items():
        if not row:
            raise CurveError(f"expected numbers in {name}, got an empty row; give one number or more")
    single = {name: amount for name, amount in given.items() if name not in rows}
    if not rows:
        return (Limits(**single),)  # pyright: ignore[reportArgumentType]  # Limits refuses what is no number
    (name, row), *_ = rows.items()
    budgets = [Limits(**single, **{name: amount}) for amount in row]  # pyright: ignore[reportArgumentType]
    return tuple(sorted(budgets, key=lambda budget: -getattr(budget, name)))


def limited_costs(budget: Limits) -> dict[str, float]:
    """Return what a budget allows, by the name of the cost in a `Point`."""
    found = {name: getattr(budget, limit) for name, limit in LIMITS.items()}
    return {name: limit for name, limit in found.items() if limit is not None}
