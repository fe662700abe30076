"""The engine of a network whose groups a person names: its own code runs on smaller tensors, and nothing is traced."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm as BatchNorm  # pyright: ignore[reportPrivateUsage]
from torch.utils import _pytree as pytree

from widthwise._shared import GroupError, TraceError, WidthError
from widthwise.elastic.drawing import Drawing, Part
from widthwise.elastic.engines.batch import join_leaves, split_leaves
from widthwise.elastic.engines.engine import Draw, Engine
from widthwise.elastic.octaves.octave_weights import OctaveWeights
from widthwise.elastic.octaves.unit_affine import UnitAffine
from widthwise.graph import Axes, Example
from widthwise.groups import Declaration, Groups, declare_groups
from widthwise.measure import count_call_macs
from widthwise.slicing import (
    NUM_SAMPLES,
    Activation,
    Compilation,
    DeclaredNetwork,
    Form,
    Units,
    Verification,
    check_declared,
    declared_units,
    keeps_statistics,
    recalibrate_module,
    take_samples,
)

__all__ = ["DeclaredEngine"]

_NOT_TRACED = "this model is not traced; leave it out, or find the groups by tracing (without groups=)"


@final
class DeclaredEngine(Engine):
    """Runs a network at widths of groups that a person names.

    The first step of a training calls it twice more, without gradients, to see which of its outputs have the batch.

    Args:
        net: The network itself.
        declarations: Its groups, as for `widthwise.groups.declare_groups`.
        example: What a call of it looks like; None where nobody needs to know.
        batch_dim: The batch axis of every input and output that has as many entries there as the first input.
        round_to: Fractions leave multiples of so many units.
    """

    def __init__(
        self,
        net: nn.Module,
        declarations: Sequence[Declaration],
        example: Example | None,
        batch_dim: int = 0,
        round_to: int = 1,
    ) -> None:
        self.net = net
        self._declarations = tuple(declarations)
        self._unsound: dict[str, str] = {}
        self._example = example
        self._batch_dim = batch_dim
        self._round_to = round_to
        self._output_axes: dict[str, list[int | None]] = {}
        self._declare()

    @property
    def groups(self) -> Groups:
        """The width groups."""
        return self._groups

    @property
    def example(self) -> Example:
        """What a call of the network looks like.

        Raises:
            TraceError: Nobody said.
        """
        if self._example is None:
            raise TraceError("expected to know what a call looks like, got no example_inputs; pass them to ww.Elastic")
        return self._example

    @property
    def input_batch_axes(self) -> tuple[int | None, ...]:
        """The batch axis of each input leaf, None for leaves without one."""
        return tuple(_batch_axes(self.example.leaves(), self._batch_dim))

    @property
    def has_statistics(self) -> bool:
        """Whether a batch norm uses running statistics in evaluation mode."""
        return keeps_statistics(self.net)

    def make_unit_affine(self, num_octaves: int) -> UnitAffine | None:  # noqa: ARG002
        """Return None: which parameters make units and which read them only a trace tells."""
        return None

    def make_octave_weights(self, num_octaves: int) -> OctaveWeights | None:  # noqa: ARG002
        """Return None: the kept parts of parameters stand in their places here, as they are."""
        return None

    def run_whole(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call the network itself, hooks and all."""
        return self.net(*args, **kwargs)

    def run_at(self, widths: Draw, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run at one set of widths; full width in training mode updates buffers."""
        if widths == self.groups.sizes:
            return self.net(*args, **kwargs)
        kept = self._kept(widths)
        return self._network.run(kept, self._network.cut_together([kept])[0], args, kwargs, updates=False)

    def run_drawn(self, drawing: Drawing, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run each part of the batch at its widths and join the outputs."""
        leaves, spec = pytree.tree_flatten((args, kwargs))
        axes = _batch_axes(leaves, self._batch_dim)
        parts = drawing.split(_batch_of(leaves, axes), least=2 if self._normalizes_batches() else 1)
        sizes = [part.num_samples for part in parts]
        if len(parts) > 1 and str(spec) not in self._output_axes:
            few = split_leaves(leaves, axes, [sizes[-1], sum(sizes) - sizes[-1]])[0]
            more = split_leaves(leaves, axes, [sizes[-1] + 1, sum(sizes) - sizes[-1] - 1])[0]
            calls = [pytree.tree_unflatten(each, spec) for each in (few, more)]
            self._output_axes[str(spec)] = self._find_output_axes(parts[-1].widths, calls, sizes[-1])
        calls = [pytree.tree_unflatten(chunk, spec) for chunk in split_leaves(leaves, axes, sizes)]
        outputs = self._run_parts(parts, calls, drawing.only_one)
        if len(outputs) == 1:
            return outputs[0]
        every = [pytree.tree_leaves(output) for output in outputs]
        joined = join_leaves(every, self._output_axes[str(spec)], sizes, [part.weight for part in parts])
        return pytree.tree_unflatten(joined, pytree.tree_structure(outputs[0]))

    def run_stacked(self, drawing: Drawing, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[tuple[Part, Any]]:
        """Run the whole batch at each of the widths, full width first; return what each gives."""
        leaves = pytree.tree_leaves((args, kwargs))
        parts = drawing.stack(_batch_of(leaves, _batch_axes(leaves, self._batch_dim)))
        return list(zip(parts, self._run_parts(parts, [(args, kwargs)] * len(parts), drawing.only_one), strict=True))

    def head_groups(self) -> frozenset[str]:
        """Refuse: which layer is the last one only a trace tells."""
        raise GroupError(f"a law of reach 'head' needs to know the last layer, but {_NOT_TRACED}")

    def extract(
        self,
        widths: Draw,
        *,
        calibrate: Iterable[Any] | None,
        refit: Iterable[Any] | None,
        form: Form | None,
    ) -> nn.Module:
        """Return the small plain network, in evaluation mode, as an instance of the network's own class."""
        if refit is not None:
            raise GroupError(f"refit needs to know the last layer, but {_NOT_TRACED}")
        if form not in (None, "module"):
            raise WidthError(f"form must be 'module' or None, got {form!r}: there is no graph, since {_NOT_TRACED}")
        small = self._network.copy(self._kept(widths))
        if calibrate is not None and self.has_statistics:
            index, axis = next((i, axis) for i, axis in enumerate(self.input_batch_axes) if axis is not None)
            batches = take_samples(calibrate, self.example, leaf=index, axis=axis, num_samples=NUM_SAMPLES)
            recalibrate_module(small, batches)
        return small

    def count_macs(self, widths: Draw) -> int:
        """Return the multiply-accumulates of one sample, as torch's counter finds them: none for recurrent layers."""
        example = self.example
        batch = _batch_of(example.leaves(), list(self.input_batch_axes))
        return count_call_macs(self._network.copy(self._kept(widths)), example.args, example.kwargs) // batch

    def state_axes(self) -> Mapping[str, Axes]:
        """Return what the axes of parameters and buffers of the groups are made of, by their names."""
        return self._declared.axes

    def verify(self, *, num_widths: int, seed: int) -> Verification:
        """Check the width groups on the network; those that fail are frozen from then on."""
        frozen: dict[str, str] = {}
        while True:
            widths, faults = check_declared(self.net, self._declared, self.example, num_widths=num_widths, seed=seed)
            if not faults:
                return Verification(widths=tuple(widths), classes={}, failures=(), frozen=frozen)
            self._unsound |= faults
            frozen |= faults
            self._declare()

    def _run_parts(self, parts: Sequence[Part], calls: Sequence[tuple[Any, Any]], only_one: bool) -> list[Any]:
        """Return what each part gives; the full width, or the only one, updates buffers."""
        outputs: list[Any] = []
        rows = self._network.cut_together([self._kept(part.widths) for part in parts])
        for part, row, (args, kwargs) in zip(parts, rows, calls, strict=True):
            if part.widths == self.groups.sizes:
                outputs.append(self.net(*args, **kwargs))
            else:
                outputs.append(self._network.run(self._kept(part.widths), row, args, kwargs, updates=only_one))
        return outputs

    def compile(self, compilation: Compilation) -> None:  # noqa: ARG002
        """Refuse: what runs is the network's own code."""
        raise GroupError(f"compile needs a graph for each width, but {_NOT_TRACED}")

    def units(self) -> Units:
        """Return where its units stand, as it is right now."""
        return declared_units(self._network, self.groups)

    def run_watched(self, activation: Activation, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:  # noqa: ARG002
        """Refuse: where activations are only a trace tells.

        Raises:
            GroupError: Always.
        """
        raise GroupError(
            'by="activation" needs to know where units are read, but this model is not traced; sort it '
            'by="taylor" or by="magnitude"'
        )

    def _declare(self) -> None:
        self._declared = declare_groups(self.net, self._declarations, self._unsound)
        self._groups = self._declared.groups.rounded_to(self._round_to)
        self._network = DeclaredNetwork(self.net, self._declared)

    def _kept(self, widths: Draw) -> dict[int, int]:
        return {group.key: widths[group.name] for group in self.groups}

    def _normalizes_batches(self) -> bool:
        return any(isinstance(module, BatchNorm) and module.training for module in self.net.modules())

    @torch.no_grad()
    def _find_output_axes(self, widths: Draw, calls: Sequence[tuple[Any, Any]], size: int) -> list[int | None]:
        """Return the batch axis of each output leaf, or None; nothing but what one sample more changes tells it.

        Args:
            widths: At which it is tried.
            calls: The inputs of `size` samples, and those of one more.
            size: The number of samples.

        Raises:
            TraceError: The batch is no axis of an output, or another one than `batch_dim`.
        """
        kept = self._kept(widths)
        row = self._network.cut_together([kept])[0]
        # Dropout in a call that is thrown away must not move the random numbers of the training.
        with torch.random.fork_rng(sorted({p.device.index for p in self.net.parameters() if p.is_cuda})):
            tried = [self._network.run(kept, row, *call, updates=False) for call in calls]
        few, more = ([_shape(leaf) for leaf in pytree.tree_leaves(each)] for each in tried)
        if len(few) != len(more):
            raise TraceError(
                f"expected as many outputs for any number of samples, got {len(few)} for {size} and {len(more)} for "
                f"{size + 1}; let the network return one tensor for all samples"
            )
        return [
            _find_batch(one, other, size, self._batch_dim, index)
            for index, (one, other) in enumerate(zip(few, more, strict=True))
        ]


def _shape(leaf: Any) -> tuple[int, ...]:
    return tuple(leaf.shape) if isinstance(leaf, Tensor) else ()


def _find_batch(few: tuple[int, ...], more: tuple[int, ...], size: int, batch_dim: int, index: int) -> int | None:
    """Return the batch axis of an output of those shapes for `size` samples and for one more; None for none."""
    if few == more:
        return None
    grown = list(few)
    if len(few) > batch_dim and few[batch_dim] == size:
        grown[batch_dim] += 1
    if more == tuple(grown):
        return batch_dim
    raise TraceError(
        f"the batch must be axis {batch_dim} of output {index}, got the shape {few} for {size} samples and {more} for "
        f"{size + 1}; let the network return one row per sample, or set batch_dim="
    )


def _batch_axes(leaves: Sequence[Any], batch_dim: int) -> list[int | None]:
    """Return the batch axis of all leaves that have as many entries along it as the first that has one."""
    lengths = [_length(leaf, batch_dim) for leaf in leaves]
    batch = next((length for length in lengths if length is not None), None)
    if batch is None:
        raise TraceError(
            f"inputs must hold a tensor with at least {batch_dim + 1} axes, got none; say which axis is the batch with "
            "batch_dim="
        )
    return [batch_dim if length == batch else None for length in lengths]


def _batch_of(leaves: Sequence[Any], axes: Sequence[int | None]) -> int:
    return next(leaf.shape[axis] for leaf, axis in zip(leaves, axes, strict=True) if axis is not None)


def _length(leaf: Any, axis: int) -> int | None:
    return leaf.shape[axis] if isinstance(leaf, Tensor) and leaf.dim() > axis else None
