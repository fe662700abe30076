"""How far apart what two networks compute is."""

from collections.abc import Sequence

import torch

__all__ = ["compare_outputs"]


def compare_outputs(expected: Sequence[object], got: Sequence[object], *, is_cast: bool = False) -> float:
    """Return the largest difference of two lists of outputs, each relative to the largest entry of the expected one.

    It is infinite where they are not of one kind, not finite alike, or unequal and no floating point numbers.

    Args:
        expected: Output leaves of the one; what is no tensor is left out.
        got: Those of the other.
        is_cast: Whether floating point numbers may be of another dtype.
    """
    left = [leaf for leaf in expected if isinstance(leaf, torch.Tensor)]
    right = [leaf for leaf in got if isinstance(leaf, torch.Tensor)]
    if len(left) != len(right):
        return float("inf")
    return max((_gap(one, other, is_cast) for one, other in zip(left, right, strict=True)), default=0.0)


def _gap(one: torch.Tensor, other: torch.Tensor, is_cast: bool) -> float:
    one, other = one.cpu(), other.cpu()
    if is_cast and one.is_floating_point() and other.is_floating_point():
        other = other.to(one.dtype)
    if one.shape != other.shape or one.dtype != other.dtype:
        return float("inf")
    if not one.is_floating_point() and not one.is_complex():
        return 0.0 if torch.equal(one, other) else float("inf")
    finite = torch.isfinite(one)
    if not torch.equal(finite, torch.isfinite(other)):
        return float("inf")
    if not torch.equal(one[~finite].nan_to_num(), other[~finite].nan_to_num()):
        return float("inf")
    if not bool(finite.any()):
        return 0.0
    scale = max(float(one[finite].abs().max()), 1e-30)
    return float((one[finite] - other[finite]).abs().max()) / scale
