"""Node restriction: a rewritten operator on cut inputs gives the cut of what it gives on full ones.

It says of each node to which class it belongs. L: equal as it stands. Z: equal once the dropped units are zero on the way in. C: neither,
but the operator is known to count its units (means, variances, norms) or to have another neutral element (extrema). Anything else fails.
"""

from typing import Any

import torch
from torch import fx

from widthwise.graph import Axes, atoms_of
from widthwise.slicing.checks.values import FullRun, Kept, NodeFailure, agree, cut_value, is_random

__all__ = ["COUNTING", "check_restriction", "keep_mask"]

COUNTING = {
    "aten::mean", "aten::var", "aten::std", "aten::var_mean", "aten::std_mean", "aten::layer_norm", "aten::rms_norm", "aten::group_norm",
    "aten::amax", "aten::amin", "aten::logsumexp",
}  # fmt: skip


def check_restriction(full: FullRun, kept: Kept) -> tuple[dict[str, str], list[NodeFailure]]:
    """Return the class of every operator that touches a cut axis, by node name, and those that have none."""
    classes: dict[str, str] = {}
    failures: list[NodeFailure] = []
    reads = _table_reads(full, kept)
    for node in full.operators():
        if is_random(node) or not _touches(full, node, kept):
            continue
        try:
            found = _classify(full, node, kept, reads)
        except Exception as error:  # noqa: BLE001  (whatever an operator raises at wrong sizes is the finding)
            failures.append(
                NodeFailure(check="restriction", node=node.name, reason=f"cannot run on cut inputs: {error}")
            )
            continue
        if found is None:
            failures.append(
                NodeFailure(check="restriction", node=node.name, reason="on cut inputs is no cut of its full output")
            )
        else:
            classes[node.name] = found
    return classes, failures


def keep_mask(value: torch.Tensor, axes: Axes, kept: Kept) -> torch.Tensor:
    """Return a bool tensor of the value's shape: True where a position is kept along every axis."""
    mask = torch.zeros(value.shape, dtype=torch.bool)
    positions = torch.arange(value.numel()).reshape(value.shape)
    mask.view(-1)[cut_value(positions, axes, kept).reshape(-1)] = True
    return mask


def _touches(full: FullRun, node: fx.Node, kept: Kept) -> bool:
    sources = [*node.all_input_nodes, node]
    return any(
        atom.key in kept for source in sources for term in full.tensor_axes(source) or () for atom in atoms_of(term)
    )


def _table_reads(full: FullRun, kept: Kept) -> dict[str, int]:
    sizes = full.program.sizes(kept)
    return {
        node.name: sizes[node.args[1]]  # type: ignore[index]
        for node in full.program.graph.nodes
        if node.args and isinstance(node.args[0], fx.Node) and node.args[0].name == "sizes"
    }


def _classify(full: FullRun, node: fx.Node, kept: Kept, reads: dict[str, int]) -> str | None:
    if full.program.origins[node] not in set(full.program.graph.nodes):
        return "L"
    expected = [cut_value(value, axes, kept) for value, axes in full.outputs(node, full.values[node])]
    got = _run_rewritten(full, node, kept, reads)
    if _all_agree(expected, got):
        return "L"
    zeroed = {source: _zero_dropped(full, source, kept) for source in node.all_input_nodes}
    args, kwargs = fx.node.map_arg((node.args, node.kwargs), lambda source: zeroed[source])
    with torch.no_grad():
        value = node.target(*args, **kwargs)  # type: ignore[operator]
    if _all_agree([cut_value(each, axes, kept) for each, axes in full.outputs(node, value)], got):
        return "Z"
    return "C" if node.target._schema.name in COUNTING else None  # type: ignore[union-attr]


def _run_rewritten(full: FullRun, node: fx.Node, kept: Kept, reads: dict[str, int]) -> list[torch.Tensor]:
    """Run the rewritten node on cut inputs."""
    new = full.program.origins[node]
    traced = {rewritten.name: old for old, rewritten in full.program.origins.items()}

    def fetch(source: fx.Node) -> Any:
        return reads[source.name] if source.name in reads else full.cut(traced[source.name], kept)

    args, kwargs = fx.node.map_arg((new.args, new.kwargs), fetch)
    with torch.no_grad():
        result = new.target(*args, **kwargs)  # type: ignore[operator]
    return [tensor for tensor, _ in full.outputs(node, result)]


def _zero_dropped(full: FullRun, source: fx.Node, kept: Kept) -> Any:
    value, axes = full.values[source], full.tensor_axes(source)
    if axes is None or not value.is_floating_point():
        return value
    return value * keep_mask(value, axes, kept)


def _all_agree(expected: list[torch.Tensor], got: list[torch.Tensor]) -> bool:
    return len(expected) == len(got) and all(agree(one, other) for one, other in zip(expected, got, strict=True))
