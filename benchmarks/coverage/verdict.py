"""Whether a network passes, from what was measured: the rule stands here alone, so that it is no part of a result."""

from collections.abc import Mapping
from typing import Any

from benchmarks.coverage.share import Shares

__all__ = ["LEAST_SHARE", "MOST_AT_HALF", "TOLERANCE", "find_faults", "find_faults_of_pruning", "shares_of"]

LEAST_SHARE = 0.9
MOST_AT_HALF = 0.35
# Of the largest entry, in float32: the same sums in another order.
TOLERANCE = 1e-5


def find_faults(result: Mapping[str, Any]) -> list[str]:
    """Return why a network that was handed to widthwise does not pass; nothing where it does.

    It passes if at least 0.9 of its parameters outside edges belong to a group; extract at one half and at random
    widths runs, gives outputs of the old shapes, and agrees with the views; `verify` finds no fault; and its parameters
    at one half are at most 0.35 of all and the share that keeps its size.
    """
    if "error" in result:
        return [str(result["error"])]
    shares = shares_of(result)
    faults = [] if shares.inside >= LEAST_SHARE else [f"only {shares.inside:.0%} can shrink"]
    for name in ("half", "random"):
        part = result[name]
        if not part["same_shapes"]:
            faults.append(f"other output shapes at {name} widths")
        elif part["difference"] is not None and part["difference"] > TOLERANCE:
            faults.append(f"extract and views differ by {part['difference']:.1g} at {name} widths")
    ratio = result["half"]["num_parameters"] / shares.num_parameters
    if ratio > MOST_AT_HALF + shares.frozen:
        faults.append(f"{ratio:.2f} of the parameters are left at one half")
    if str(result.get("verify", "")).startswith("failed"):
        faults.append(f"verify {result['verify']}")
    return faults


def find_faults_of_pruning(result: Mapping[str, Any]) -> list[str]:
    """Return why a network that was handed to Torch-Pruning does not pass; nothing where it does.

    It passes if it runs afterwards with outputs of the old shapes, and anything shrank.
    """
    if "error" in result:
        return [str(result["error"])]
    return [] if result["num_shrunk"] else ["nothing shrank"]


def shares_of(result: Mapping[str, Any]) -> Shares:
    """Return the shares that a result of widthwise holds."""
    return Shares(**result["shares"])
