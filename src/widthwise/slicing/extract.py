"""Take a small network out of a large one."""

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from widthwise._shared import DataError, WidthError, WidthWarning
from widthwise.graph import Example
from widthwise.slicing.causal_mask import strip_masks
from widthwise.slicing.finish.batches import batch_inputs, take_samples
from widthwise.slicing.finish.calibrate import NUM_SAMPLES, has_batch_norm, recalibrate
from widthwise.slicing.finish.head import find_head
from widthwise.slicing.finish.refit import refit_head
from widthwise.slicing.own_class.own import build_own_class
from widthwise.slicing.plain import Agreement, build_graph_module, lengthen
from widthwise.slicing.running.cut import format_of
from widthwise.slicing.running.norms import divide_weights
from widthwise.slicing.running.program import Kept
from widthwise.slicing.running.runner import Corrections, Runner

__all__ = ["Form", "copy_state", "extract_network"]

Form = Literal["module", "graph"]


def copy_state(runner: Runner, kept: Kept, corrections: Corrections | None = None) -> dict[str, Tensor]:
    """Return copies of the kept state by name, rescaled and corrected; they share no storage with the network.

    Tied names share one copy.
    """
    copies: dict[str, Tensor] = {}
    by_source: dict[int, Tensor] = {}
    with torch.no_grad():
        sliced = runner.cut_state(kept, corrections)
    for entry, source, part in zip(runner.program.state, runner.state(), sliced, strict=True):
        if id(source) not in by_source:
            fresh = part.detach().clone(memory_format=format_of(source))
            is_parameter = isinstance(source, nn.Parameter)
            by_source[id(source)] = nn.Parameter(fresh, requires_grad=source.requires_grad) if is_parameter else fresh
        copies[entry.target] = by_source[id(source)]
    return copies


def extract_network(
    net: nn.Module,
    runner: Runner,
    kept: Kept,
    state: Mapping[str, Tensor],
    example: Example,
    *,
    calibrate: Iterable[Any] | None = None,
    refit: Iterable[Any] | None = None,
    form: Form | None = None,
) -> nn.Module:
    """Return the network at a kept set as a plain module in evaluation mode.

    Args:
        net: The full network.
        runner: Its program traced in evaluation mode.
        kept: The kept set of each atom.
        state: The sliced state by name, from `copy_state`; it becomes the module's own.
        example: What a call of the network looks like.
        calibrate: A loader whose first 2,048 samples give the BatchNorm statistics at this width.
        refit: A loader of (inputs, class labels) on which the last layer is fitted again, after the recalibration.
        form: "module" for the network's own class, "graph" for a `torch.fx.GraphModule`; None takes the own class where
            it computes the same as the graph.

    Raises:
        WidthError: form="module" was asked for, and the own class does not compute the same.
        DataError: A loader is empty or does not yield what the network takes.
        GroupError: The network has no head that can be fitted, or the labels are not classes.
        TraceError: A loader yields inputs of another shape.
    """
    if form not in (None, "module", "graph"):
        raise WidthError(f"form must be 'module', 'graph' or None, got {form!r}; leave it out to take the best one")
    if calibrate is not None and has_batch_norm(runner.program):
        _calibrate(runner, kept, state, example, calibrate)
    if refit is not None:
        _refit(runner, kept, state, example, refit)
    divided = divide_weights(runner.program.trace, state)
    own, fault = (None, "") if form == "graph" else _try_own_class(net, runner, kept, state, example, divided)
    if own is None and form == "module":
        raise WidthError(
            f"an instance of {type(net).__name__} at this width does not compute what the traced network does (its "
            "code holds sizes that cannot be set from outside); use form='graph'"
        )
    if own is not None and fault:
        warnings.warn(
            f"expected a config that says what {type(net).__name__} has at this width, got none: {fault}; the network "
            "is right, but from_pretrained cannot read it back, so save it whole with torch.save",
            WidthWarning,
            stacklevel=4,
        )
    if own is None:
        return _build_graph(net, runner, kept, state, example)
    strip_masks(own)
    return own


def _calibrate(
    runner: Runner, kept: Kept, state: Mapping[str, Tensor], example: Example, loader: Iterable[Any]
) -> None:
    program = runner.program
    tensors = [state[entry.target] for entry in program.state]
    index, axis = next((i, axis) for i, axis in enumerate(runner.input_batch_axes) if axis is not None)
    batches = take_samples(loader, example, leaf=index, axis=axis, num_samples=NUM_SAMPLES)
    leaves = (_leaves(runner, inputs, tensors) for inputs in batches)
    for target, value in recalibrate(program, program.sizes(kept), tensors, leaves).items():
        state[target].copy_(value)


def _refit(runner: Runner, kept: Kept, state: Mapping[str, Tensor], example: Example, loader: Iterable[Any]) -> None:
    program = runner.program
    tensors = [state[entry.target] for entry in program.state]

    def pairs() -> Iterator[tuple[list[Any], Any]]:
        for batch in loader:
            if not isinstance(batch, tuple | list) or len(batch) < 2:
                raise DataError(
                    "refit needs batches of (inputs, labels), got batches without labels; "
                    "pass a loader of training samples"
                )
            labels = batch[-1].to(tensors[0].device) if isinstance(batch[-1], Tensor) else batch[-1]
            yield _leaves(runner, batch_inputs(batch[:-1], example), tensors), labels

    refit_head(program, program.sizes(kept), state, find_head(program), pairs())


def _leaves(runner: Runner, inputs: Example, tensors: list[Tensor]) -> list[Any]:
    """The checked leaves of a loader's inputs, where the network is."""
    return [leaf.to(tensors[0].device) if isinstance(leaf, Tensor) else leaf for leaf in runner.leaves_of(inputs)]


def _build_graph(
    net: nn.Module, runner: Runner, kept: Kept, state: Mapping[str, Tensor], example: Example
) -> nn.Module:
    smallest = max(int(runner.program.trace.batch_range[0]), 1 if runner.single.is_traced else 2)
    return build_graph_module(
        net, runner.program, kept, state, example, smallest=smallest, batch_axes=runner.input_batch_axes
    )


def _try_own_class(
    net: nn.Module,
    runner: Runner,
    kept: Kept,
    state: Mapping[str, Tensor],
    example: Example,
    divided: Sequence[str],
) -> tuple[nn.Module | None, str]:
    """Return the own-class form that agrees with the graph, on a state where no tensor is constant; and its fault."""
    graph_module = _build_graph(net, runner, kept, state, example)
    originals = {target: tensor.detach().clone() for target, tensor in state.items()}
    try:
        # Numbers that stand in the code itself are what they are, in the copy too.
        literal = {entry.target for entry in runner.program.state if entry.is_constant}
        _wake_uniform([tensor for target, tensor in state.items() if target not in literal])
        tried = example if runner.single.is_traced else lengthen(example, runner.input_batch_axes)
        agreement = Agreement(graph_module, tried, runner.input_batch_axes)
        return build_own_class(net, runner.program, kept, state, agreement.holds, divided) or (None, "")
    finally:
        with torch.no_grad():
            for target, tensor in state.items():
                tensor.copy_(originals[target])


@torch.no_grad()
def _wake_uniform(state: Iterable[Tensor]) -> None:
    """Disturb tensors that hold one value only (zero biases, unit gains): comparing networks would not see them."""
    generator = torch.Generator().manual_seed(0)
    for tensor in state:
        if tensor.is_meta:
            continue
        if tensor.is_floating_point() and tensor.numel() > 1 and bool((tensor == tensor.flatten()[0]).all()):
            noise = torch.rand(tensor.shape, generator=generator, dtype=torch.float64, device="cpu")
            tensor.add_(0.5 * noise.to(tensor))
