"""What a point costs, by the name of the cost: for fronts, pictures and budgets."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, get_args

from widthwise._shared import CurveError
from widthwise.curves.point import Point

__all__ = ["COST_WORDS", "Cost", "check_cost", "cost_of"]

Cost = Literal["params", "macs", "bytes", "memory_bytes", "latency_ms"]
"""The attribute of a point that counts as its cost."""

COST_WORDS: Mapping[Cost, str] = MappingProxyType(
    {
        "params": "parameters",
        "macs": "MACs",
        "bytes": "bytes of .safetensors",
        "memory_bytes": "bytes of activations",
        "latency_ms": "ms per sample",
    }
)
"""Each cost in words, to stand at an axis."""


def check_cost(cost: str) -> Cost:
    """Return the cost of that name.

    Raises:
        CurveError: Where there is none.

    Example:
        >>> check_cost("macs")
        'macs'
    """
    for known in get_args(Cost):
        if cost == known:
            return known
    raise CurveError(f"expected a cost among {', '.join(get_args(Cost))}, got {cost!r}; choose one of them")


def cost_of(point: Point, cost: Cost) -> float:
    """Return what a point costs.

    Raises:
        CurveError: Where that was not measured.
    """
    found = getattr(point, cost)
    if found is None:
        flag = " with latency=True" if cost == "latency_ms" else ""
        raise CurveError(
            f"expected a curve whose points know their {cost}, got none at width {point.label}; "
            f"measure the curve again{flag}"
        )
    return float(found)
