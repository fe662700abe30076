"""What widthwise makes of a subject."""

import time
import warnings
from collections.abc import Callable, Mapping

import torch
from torch import fx, nn
from torch.export import Dim
from torch.utils import _pytree as pytree

import widthwise as ww
from benchmarks.coverage.share import Axis, count_reasons, count_shares
from benchmarks.coverage.subject import Inputs, Subject, run_network

__all__ = ["compare_outputs", "measure_elastic", "verify_elastic"]

Report = Callable[[Mapping[str, object]], None]

# A second export tells what the first one's caches cost; it is left out where it would take too long.
_LONG_S = 8.0
# Inputs of as many axes are images and volumes.
_IMAGE_DIM = 4


def measure_elastic(subject: Subject, report: Report) -> ww.Elastic:
    """Trace a subject, find its groups, extract it at one half and at random widths; report each step as it is done."""
    net, inputs = subject.make()
    _warm_up()
    export_s, num_nodes = _export(net, inputs)
    report({"export_s": export_s, "num_nodes": num_nodes})
    began = time.process_time()
    model = ww.Elastic(net, inputs, stream=True)
    infer_s = time.process_time() - began
    report({"infer_s": round(infer_s, 3), "same_export_s": round(_export(net, inputs, sequences=True)[0], 3)})
    if export_s < _LONG_S:
        # Whichever comes second finds warm caches, so ours is held against the faster of the two.
        export_s = min(export_s, _export(net, inputs)[0])
    report({"export_s": round(export_s, 3)})
    report(describe_groups(model))
    generator = torch.Generator().manual_seed(0)
    random = {
        group.name: int(torch.randint(group.lower_bound, group.size + 1, (), generator=generator))
        for group in model.groups
    }
    full = run_network(net, inputs)
    for name, width in (("half", 0.5), ("random", random)):
        report({name: compare_extracted(model, inputs, full, width)})
    return model


def describe_groups(model: ww.Elastic) -> dict[str, object]:
    """Return the number of groups, how the parameters divide, and the reasons of frozen axes."""
    shapes = {name: tuple(parameter.shape) for name, parameter in model.net.named_parameters()}
    members = {(member.target, member.axis) for group in model.groups for member in group.members}
    frozen: dict[Axis, str] = {
        (axis.target, axis.axis): axis.reason for axis in model.groups.frozen if axis.target in shapes
    }
    return {
        "num_groups": len(model.groups),
        "shares": count_shares(shapes, members, frozen).to_dict(),
        "reasons": count_reasons(frozen),
    }


def compare_extracted(
    model: ww.Elastic, inputs: Inputs, full: object, width: float | dict[str, int]
) -> dict[str, object]:
    """Return what the small network at a width is, and by how much its outputs differ from those of the views."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ww.WidthWarning)
        small = model.extract(width)
        with model.at(width):
            viewed = run_network(model, inputs)
    found = run_network(small, inputs)
    return {
        "num_parameters": sum(parameter.numel() for parameter in small.parameters()),
        "form": "graph" if isinstance(small, fx.GraphModule) else "own class",
        "same_shapes": _shapes(found) == _shapes(full),
        "difference": compare_outputs(found, viewed),
    }


def compare_outputs(found: object, expected: object) -> float | None:
    """Return the largest difference of any entry, relative to the largest one of its tensor; None on meta.

    Raises:
        ValueError: The outputs differ in shape, or one has entries that are not finite where the other has none.
    """
    worst = 0.0
    for one, other in zip(_tensors(found), _tensors(expected), strict=True):
        if one.shape != other.shape:
            raise ValueError(f"extract gives {tuple(one.shape)}, the views {tuple(other.shape)}")
        if one.is_meta:
            return None
        if not torch.equal(one.isfinite(), other.isfinite()):
            raise ValueError("extract and views are not finite at different places")
        one, other = (each.nan_to_num(0, 0, 0).to(torch.float64) for each in (one, other))
        if one.numel():
            worst = max(worst, float((one - other).abs().max() / other.abs().max().clamp_min(1e-30)))
    return worst


def verify_elastic(model: ww.Elastic) -> str:
    """Return "sound", or "failed" with the first fault, also where what is left without it is sound."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ww.WidthWarning)
            frozen = model.verify().frozen
    except ww.GroupError as error:
        return f"failed: {str(error)[:300]}"
    except (MemoryError, RuntimeError) as error:
        if "memory" not in str(error):
            raise
        return "skipped: more memory than the limit"
    name, reason = next(iter(frozen.items()), ("", ""))
    return f"failed: froze {len(frozen)} groups, {name} ({reason[:300]}) first" if frozen else "sound"


def _warm_up() -> None:
    """Do both things once with a small network: what is imported on first use belongs to neither."""
    net, inputs = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 2)).eval(), (torch.zeros(2, 2),)
    _export(net, inputs)
    ww.Elastic(net, inputs)


def _export(net: nn.Module, inputs: Inputs, *, sequences: bool = False) -> tuple[float, int]:
    """Return the seconds of torch.export alone, and the operators of its graph.

    The batch is dynamic; with `sequences`, so are all axes but those of images, as they are where ours traces.
    """

    def mark(leaf: object) -> object:
        if not isinstance(leaf, torch.Tensor) or not leaf.dim():
            return None
        axes = range(leaf.dim() if sequences and leaf.dim() < _IMAGE_DIM else 1)
        return {axis: Dim.AUTO for axis in axes if leaf.shape[axis] != 1}

    args, kwargs = ((), inputs) if isinstance(inputs, dict) else (inputs, {})
    marks = pytree.tree_map(mark, inputs)
    began = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.export.export(net, args, kwargs, dynamic_shapes=marks, strict=False)
    return time.process_time() - began, sum(node.op == "call_function" for node in program.graph.nodes)


def _tensors(outputs: object) -> list[torch.Tensor]:
    return [leaf for leaf in pytree.tree_leaves(outputs) if isinstance(leaf, torch.Tensor)]


def _shapes(outputs: object) -> list[list[int]]:
    return [list(tensor.shape) for tensor in _tensors(outputs)]
