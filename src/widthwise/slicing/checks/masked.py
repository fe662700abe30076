"""The masked oracle: the full network with dropped units made neutral at every node, against the sliced network.

It runs the traced graph at full size and knows nothing of slicing. After most operators dropped units are set to zero, which is neutral for
everything that carries or sums them. Operators with another neutral element have their inputs filled with it; means, variances and norms
count only the kept units.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import fx

from widthwise.slicing.checks.restriction import keep_mask
from widthwise.slicing.checks.values import FullRun, Kept, NodeFailure, agree, cut_value

__all__ = ["check_masked"]


def check_masked(full: FullRun, kept: Kept) -> list[NodeFailure]:
    """Compare the sliced network's outputs at kept sets with those of the masked full network."""
    program = full.program
    oracle = _Masked(full, kept)
    state = [cut_value(tensor, axes, kept) for tensor, axes in zip(full.state, program.axes, strict=True)]
    with torch.no_grad():
        _, sliced = program.run(program.sizes(kept), state, full.leaves)
        oracle.run(*full.state, *full.leaves)
    failures: list[NodeFailure] = []
    for leaf, value in zip(program.trace.outputs, sliced, strict=True):
        if isinstance(leaf, fx.Node) and isinstance(value, torch.Tensor) and not agree(oracle.values[leaf.name], value):
            failures.append(
                NodeFailure(
                    check="masked", node=leaf.name, reason="differs between the sliced and the masked full network"
                )
            )
    return failures


class _Masked(fx.Interpreter):
    def __init__(self, full: FullRun, kept: Kept) -> None:
        super().__init__(fx.GraphModule(torch.nn.Module(), full.program.trace.graph))
        self.values: dict[str, Any] = {}
        self._full, self._kept = full, kept
        self._originals = dict(zip(self.module.graph.nodes, full.program.trace.graph.nodes, strict=True))  # type: ignore[union-attr]

    def run_node(self, n: fx.Node) -> Any:
        old = self._originals[n]
        handler = _HANDLERS.get(getattr(getattr(n.target, "_schema", None), "name", ""))
        if handler is None:
            value = super().run_node(n)
        else:
            source = n.args[0]
            assert isinstance(source, fx.Node)
            axes = self._full.axes(self._originals[source])
            args, kwargs = self.fetch_args_kwargs_from_env(n)
            value = handler(args, kwargs, keep_mask(args[0], axes, self._kept), n.target)
        if self._full.tensor_axes(old) is not None:
            axes = self._full.axes(old)
            value = torch.where(keep_mask(value, axes, self._kept), value, torch.zeros((), dtype=value.dtype))
        self.values[n.name] = value
        return value


_Handler = Callable[[tuple[Any, ...], dict[str, Any], torch.Tensor, Any], Any]


def _axes_and_keep(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[list[int], bool]:
    x = args[0]
    dims = args[1] if len(args) > 1 else kwargs.get("dim")
    keep = args[2] if len(args) > 2 and isinstance(args[2], bool) else kwargs.get("keepdim", False)
    if dims is None or dims == []:
        return list(range(x.dim())), keep
    return [axis % x.dim() for axis in ([dims] if isinstance(dims, int) else dims)], keep


def _mean(args: tuple[Any, ...], kwargs: dict[str, Any], mask: torch.Tensor, target: Any) -> torch.Tensor:
    axes, keep = _axes_and_keep(args, kwargs)
    return (args[0] * mask).sum(axes, keep) / mask.sum(axes, keep).clamp(min=1)


def _variance(args: tuple[Any, ...], kwargs: dict[str, Any], mask: torch.Tensor, target: Any) -> torch.Tensor:
    axes, keep = _axes_and_keep(args, kwargs)
    correction = kwargs.get("correction", 1)
    number = mask.sum(axes, True).clamp(min=1)
    centre = (args[0] * mask).sum(axes, True) / number
    total = ((args[0] - centre).square() * mask).sum(axes, keep)
    variance = total / (mask.sum(axes, keep) - (1 if correction is None else correction)).clamp(min=0)
    return variance.sqrt() if target._schema.name == "aten::std" else variance


def _layer_norm(args: tuple[Any, ...], kwargs: dict[str, Any], mask: torch.Tensor, target: Any) -> torch.Tensor:
    x, shape = args[:2]
    weight = args[2] if len(args) > 2 else None
    is_rms = target._schema.name == "aten::rms_norm"
    bias = args[3] if len(args) > 3 and not is_rms else None
    eps = args[3] if is_rms and len(args) > 3 else args[4] if not is_rms and len(args) > 4 else None
    eps = (torch.finfo(x.dtype).eps if is_rms else 1e-5) if eps is None else eps
    axes = list(range(x.dim() - len(shape), x.dim()))
    number = mask.sum(axes, True).clamp(min=1)
    centre = 0.0 if is_rms else (x * mask).sum(axes, True) / number
    spread = ((x - centre).square() * mask).sum(axes, True) / number
    y = (x - centre) * (spread + eps).rsqrt()
    y = y if weight is None else y * weight
    return y if bias is None else y + bias


def _group_norm(args: tuple[Any, ...], kwargs: dict[str, Any], mask: torch.Tensor, target: Any) -> torch.Tensor:
    x, num_groups, weight, bias, eps, *_ = (*args, None, None, 1e-5)[:5] if len(args) < 5 else args
    folded, kept = x.reshape(x.shape[0], num_groups, -1), mask.reshape(x.shape[0], num_groups, -1)
    number = kept.sum(-1, True).clamp(min=1)
    centre = (folded * kept).sum(-1, True) / number
    spread = ((folded - centre).square() * kept).sum(-1, True) / number
    y = ((folded - centre) * (spread + (1e-5 if eps is None else eps)).rsqrt()).reshape(x.shape)
    shape = (1, -1, *([1] * (x.dim() - 2)))
    y = y if weight is None else y * weight.reshape(shape)
    return y if bias is None else y + bias.reshape(shape)


def _extremum(args: tuple[Any, ...], kwargs: dict[str, Any], mask: torch.Tensor, target: Any) -> torch.Tensor:
    worst = float("inf") if target._schema.name == "aten::amin" else float("-inf")
    return target(args[0].masked_fill(~mask, worst), *args[1:], **kwargs)


_HANDLERS: dict[str, _Handler] = {
    "aten::mean": _mean, "aten::var": _variance, "aten::std": _variance,
    "aten::layer_norm": _layer_norm, "aten::rms_norm": _layer_norm, "aten::group_norm": _group_norm,
    "aten::amax": _extremum, "aten::amin": _extremum, "aten::logsumexp": _extremum,
}  # fmt: skip
