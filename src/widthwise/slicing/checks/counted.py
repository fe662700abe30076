"""Operators whose value at a width is not that of the full operator on zeros, written for a mask of kept units.

Means, variances and norms count the kept units only; extrema and log-sum-exp have another neutral element than 0.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch

from widthwise.graph import overload_name

__all__ = ["Handler", "find_counted"]

Arguments = Mapping[str, Any]
Handler = Callable[[Arguments, torch.Tensor, torch.Tensor], Any]


def find_counted(target: Any) -> Handler | None:
    """Return how an operator computes on a mask of kept units, where that differs from computing on zeros.

    The handler takes the operator's arguments by name, its input, and the mask.
    """
    name = overload_name(target)
    return _COUNTED.get(name) or _COUNTED.get(name.partition(".")[0])


def _mean(arguments: Arguments, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    axes, keep = _reduced(arguments, x)
    return (x * mask).sum(axes, keep) / mask.sum(axes, keep).clamp(min=1)


def _variance(arguments: Arguments, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    axes, keep = _reduced(arguments, x)
    correction = arguments.get("correction", arguments.get("unbiased", True))
    total = ((x - _centre(x, mask, axes)).square() * mask).sum(axes, keep)
    return total / (mask.sum(axes, keep) - (1 if correction is None else int(correction))).clamp(min=0)


def _deviation(arguments: Arguments, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return _variance(arguments, x, mask).sqrt()


def _variance_and_mean(arguments: Arguments, x: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return _variance(arguments, x, mask), _mean(arguments, x, mask)


def _deviation_and_mean(arguments: Arguments, x: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return _deviation(arguments, x, mask), _mean(arguments, x, mask)


def _layer_norm(arguments: Arguments, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    axes = list(range(x.dim() - len(arguments["normalized_shape"]), x.dim()))
    return _normalize(x - _centre(x, mask, axes), mask, axes, arguments)


def _rms_norm(arguments: Arguments, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    axes = list(range(x.dim() - len(arguments["normalized_shape"]), x.dim()))
    return _normalize(x, mask, axes, arguments)


def _group_norm(arguments: Arguments, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    folded = x.reshape(x.shape[0], arguments["num_groups"], -1)
    kept = mask.reshape(folded.shape)
    y = _normalize(folded - _centre(folded, kept, [2]), kept, [2], {"eps": arguments["eps"]}).reshape(x.shape)
    return _scale_channels(y, arguments)


def _batch_norm(arguments: Arguments, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    if not arguments["training"]:
        return torch.ops.aten.batch_norm.default(**arguments)
    # Standardised weights are read as one sample, whose positions are the units that they sum over.
    axes = [axis for axis in range(x.dim()) if axis != 1]
    y = _normalize(x - _centre(x, mask, axes), mask, axes, {"eps": arguments["eps"]})
    return _scale_channels(y, arguments)


def _greatest(arguments: Arguments, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return x.masked_fill(~mask, float("-inf")).amax(*_reduced(arguments, x))


def _least(arguments: Arguments, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return x.masked_fill(~mask, float("inf")).amin(*_reduced(arguments, x))


def _log_sum_exp(arguments: Arguments, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return x.masked_fill(~mask, float("-inf")).logsumexp(*_reduced(arguments, x))


def _reduced(arguments: Arguments, x: torch.Tensor) -> tuple[list[int], bool]:
    """Return the axes that a reduction folds away, and whether it leaves them with size 1."""
    dims = arguments.get("dim")
    axes = [dims] if isinstance(dims, int) else list(dims or range(x.dim()))
    return axes, arguments.get("keepdim", False)


def _centre(x: torch.Tensor, mask: torch.Tensor, axes: list[int]) -> torch.Tensor:
    return (x * mask).sum(axes, True) / mask.sum(axes, True).clamp(min=1)


def _normalize(x: torch.Tensor, mask: torch.Tensor, axes: list[int], arguments: Arguments) -> torch.Tensor:
    eps = torch.finfo(x.dtype).eps if arguments["eps"] is None else arguments["eps"]
    return _scale(x * (_centre(x.square(), mask, axes) + eps).rsqrt(), arguments)


def _scale(y: torch.Tensor, arguments: Arguments) -> torch.Tensor:
    weight, bias = arguments.get("weight"), arguments.get("bias")
    y = y if weight is None else y * weight
    return y if bias is None else y + bias


def _scale_channels(y: torch.Tensor, arguments: Arguments) -> torch.Tensor:
    channels = (1, -1, *([1] * (y.dim() - 2)))
    scale = {name: None if (each := arguments[name]) is None else each.reshape(channels) for name in ("weight", "bias")}
    return _scale(y, scale)


_COUNTED: Mapping[str, Handler] = {
    "aten::mean": _mean, "aten::var": _variance, "aten::std": _deviation, "aten::var_mean": _variance_and_mean,
    "aten::std_mean": _deviation_and_mean, "aten::layer_norm": _layer_norm, "aten::rms_norm": _rms_norm,
    "aten::group_norm": _group_norm, "aten::batch_norm": _batch_norm, "aten::amax": _greatest, "aten::amin": _least,
    "aten::max.default": _greatest,
    "aten::min.default": _least, "aten::logsumexp": _log_sum_exp,
}  # fmt: skip
