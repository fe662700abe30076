"""The engine of a network that torch.export can trace: its rewritten graph runs on views of the parameters."""

from collections.abc import Iterable, Sequence
from typing import Any, final

from torch import nn
from torch.utils import _pytree as pytree

from widthwise._shared import TraceError
from widthwise.elastic.drawing import Drawing, Part
from widthwise.elastic.engines.batch import join_leaves, split_leaves
from widthwise.elastic.engines.engine import Draw, Engine
from widthwise.elastic.octaves.octave_weights import OctaveWeights
from widthwise.elastic.octaves.unit_affine import UnitAffine
from widthwise.elastic.widths import is_common_fraction, mean_fraction
from widthwise.graph import Axes, Example, Frozen, Sum, atoms_of, match_call
from widthwise.groups import Groups
from widthwise.measure import count_macs, count_peak_bytes
from widthwise.slicing import (
    Activation,
    Compilation,
    Correction,
    Form,
    Kept,
    Place,
    Result,
    Runner,
    SlicedNetwork,
    Units,
    Verification,
    copy_state,
    extract_network,
    find_head,
    find_makers,
    find_units,
    find_weights,
    has_batch_norm,
    verify_and_freeze,
)
from widthwise.slicing.context import plain_context

__all__ = ["TracedEngine"]


@final
class TracedEngine(Engine):
    """Runs a traced network at widths, on views of its parameters.

    Args:
        sliced: The network with its groups.

    Attributes:
        sliced: As given.
    """

    def __init__(self, sliced: SlicedNetwork) -> None:
        self.sliced = sliced
        self.net = sliced.net
        self._has_statistics = has_batch_norm(sliced.evaluation.program)

    @property
    def groups(self) -> Groups:
        """The width groups."""
        return self.sliced.groups

    @property
    def example(self) -> Example:
        """What a call of the network looks like, on the device and in the dtype that the network has now."""
        return self.sliced.example

    @property
    def input_batch_axes(self) -> tuple[int | None, ...]:
        """The batch axis of each input leaf, None for leaves without one."""
        return self.sliced.evaluation.input_batch_axes

    @property
    def has_statistics(self) -> bool:
        """Whether a batch norm uses running statistics in evaluation mode."""
        return self._has_statistics

    def make_unit_affine(self, num_octaves: int) -> UnitAffine | None:
        """Return corrections of the parameters that make units; None where there are none."""
        makers = find_makers(self.sliced)
        return UnitAffine(num_octaves, makers) if makers else None

    def make_octave_weights(self, num_octaves: int) -> OctaveWeights | None:
        """Return what is added to the weights that hold units which follow a common fraction; None without any."""
        moving = frozenset(group.key for group in self.groups if group.follows)
        weights = find_weights(self.sliced, moving)
        return OctaveWeights(num_octaves, weights, moving) if weights else None

    def run_whole(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call the network itself, hooks and all.

        Raises:
            TraceError: It fails, on inputs that are not of the traced shapes.
        """
        try:
            return self.net(*args, **kwargs)
        except Exception as error:
            try:
                self.sliced.evaluation.leaves_of(self._match(args, kwargs))
            except TraceError as misfit:
                raise misfit from error
            raise

    def run_at(self, widths: Draw, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run at one set of widths; full width in training mode updates buffers."""
        runner, leaves = self._prepare(args, kwargs)
        kept = self.sliced.kept(widths)
        buffers, outputs = runner.run(kept, leaves, self._corrections(runner, widths))
        if widths == self.sliced.groups.sizes:
            runner.write_back(kept, buffers)
        return _nest(runner, outputs)

    def run_drawn(self, drawing: Drawing, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run each part of the batch at its widths and join the outputs."""
        runner, leaves = self._prepare(args, kwargs)
        least = 2 if runner.normalizes_batches else 1
        # Rows of a carried state go on from batch to batch, so each must meet every stratum in its turn.
        parts = drawing.split(runner.batch_of(leaves), least=least, shuffled=self.sliced.is_carrying)
        sizes = [part.num_samples for part in parts]
        kepts, corrections = self._prepare_parts(runner, parts)
        results = runner.run_together(kepts, split_leaves(leaves, runner.input_batch_axes, sizes), corrections)
        every = self._finish_parts(runner, parts, results, drawing.only_one)
        weights = [part.weight for part in parts]
        return _nest(runner, join_leaves(every, runner.output_batch_axes, sizes, weights))

    def run_stacked(self, drawing: Drawing, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[tuple[Part, Any]]:
        """Run the whole batch at each of the widths, full width first; return what each gives."""
        runner, leaves = self._prepare(args, kwargs)
        parts = drawing.stack(runner.batch_of(leaves))
        kepts, corrections = self._prepare_parts(runner, parts)
        results = runner.run_stacked(kepts, leaves, corrections, causal=self._are_fractions(parts))
        every = self._finish_parts(runner, parts, results, drawing.only_one)
        return [(part, _nest(runner, outputs)) for part, outputs in zip(parts, every, strict=True)]

    def head_groups(self) -> frozenset[str]:
        """Return the names of the groups that the last layer reads.

        Raises:
            GroupError: The network has no single last layer.
        """
        inference, weight = self.sliced.evaluation.program.inference, find_head(self.sliced.evaluation.program).weight
        entry = next(entry for entry in inference.trace.state if entry.target == weight)
        axes = inference.axes_of(inference.trace.placeholder(entry.placeholder))
        keys = {atom.key for term in axes for atom in atoms_of(term)}
        return frozenset(group.name for group in self.groups if group.key in keys)

    def extract(
        self,
        widths: Draw,
        *,
        calibrate: Iterable[Any] | None,
        refit: Iterable[Any] | None,
        form: Form | None,
    ) -> nn.Module:
        """Return the small plain network, in evaluation mode."""
        kept = self.sliced.kept(widths)
        runner, example = self.sliced.evaluation, self.sliced.example
        # What is taken home is trained on, whatever the mode in which it was taken.
        with plain_context():
            state = copy_state(runner, kept, self._corrections(runner, widths))
            return extract_network(self.net, runner, kept, state, example, calibrate=calibrate, refit=refit, form=form)

    def count_macs(self, widths: Draw) -> int:
        """Return the multiply-accumulates of one sample."""
        return count_macs(self.sliced.evaluation.program.inference, self.sliced.kept(widths))

    def count_memory(self, widths: Draw, batch: int) -> int:
        """Return the most bytes that the values of one pass of so many samples take at a time; nothing is run."""
        return count_peak_bytes(self.sliced.evaluation.program.inference, self.sliced.kept(widths), batch=batch)

    def state_axes(self) -> dict[str, Axes]:
        """Return what the axes of every parameter and buffer are made of that a trace reads, by each of its names."""
        return self.sliced.state_axes()

    def count_stacked(self, parts: Sequence[Part]) -> list[int]:
        """Return the multiply-accumulates of one sample of each part, where all run on the same; the first has more."""
        runner = self.sliced.evaluation
        kepts, corrections = self._prepare_parts(runner, parts)
        trunk = runner.trunk(kepts, corrections, causal=self._are_fractions(parts)).nodes
        inference, every = runner.program.inference, runner.program.trace.graph.nodes
        branch = {node for node in every if node not in trunk}
        costs = [count_macs(inference, kept, nodes=branch) for kept in kepts]
        return [costs[0] + count_macs(inference, kepts[0], nodes=trunk), *costs[1:]]

    def verify(self, *, num_widths: int, seed: int) -> Verification:
        """Check the width groups on the network; those that fail are frozen from then on."""
        return verify_and_freeze(self.sliced, num_widths=num_widths, seed=seed)

    def compile(self, compilation: Compilation) -> None:
        """Compile a graph for each width of a grid from now on."""
        self.sliced.compile(compilation)

    def units(self) -> Units:
        """Return where its units stand, as it is right now."""
        return find_units(self.sliced)

    def own_places(self) -> tuple[Place, ...]:
        """Return the tensors of the model, besides those of the network, that hold something of each unit."""
        if self.unit_affine is None:
            return ()
        terms, affine = self.sliced.state_axes(), self.unit_affine
        octaves = Frozen(affine.rows[0].shape[0], "octaves")
        return tuple(
            Place(tensor=rows, axes=(octaves, Sum(tuple(terms[name][axis] for name, axis in axes.items()))))
            for axes, rows in zip(affine.packs, affine.rows, strict=True)
        )

    def run_watched(self, activation: Activation, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run at full width and let the activations be seen; returns the outputs."""
        runner, leaves = self._prepare(args, kwargs)
        return _nest(runner, activation.run(self.sliced, runner, leaves)[1])

    def _prepare(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Runner, list[Any]]:
        """Return the runner for a call in the present modes, and the leaves of its inputs."""
        inputs = self._match(args, kwargs)
        self.sliced.fit(inputs)
        runner = self.sliced.current
        return runner, runner.leaves_of(inputs)

    def _match(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Example:
        return match_call(self.sliced.net, self.sliced.example, args, kwargs)

    def _prepare_parts(
        self, runner: Runner, parts: Sequence[Part]
    ) -> tuple[list[Kept], list[dict[str, list[Correction]] | None]]:
        """Return what each part keeps, and its corrections."""
        kepts: list[Kept] = [self.sliced.kept(part.widths) for part in parts]
        return kepts, [self._corrections(runner, part.widths) for part in parts]

    def _finish_parts(
        self, runner: Runner, parts: Sequence[Part], results: Sequence[Result], only_one: bool
    ) -> list[tuple[Any, ...]]:
        """Return the output leaves of each part; the full width, or the only one, updates buffers."""
        for part, (buffers, _) in zip(parts, results, strict=True):
            if only_one or part.widths == self.sliced.groups.sizes:
                runner.write_back(self.sliced.kept(part.widths), buffers)
        return [outputs for _, outputs in results]

    def _are_fractions(self, parts: Sequence[Part]) -> bool:
        return all(is_common_fraction(part.widths, self.groups) for part in parts)

    def _corrections(self, runner: Runner, widths: Draw) -> dict[str, list[Correction]] | None:
        kept, found = self.sliced.kept(widths), dict[str, list[Correction]]()
        if self.unit_affine is not None:
            for axes, values in self.unit_affine.at(mean_fraction(widths, self.groups)):
                found |= {name: [own] for name, own in runner.correct_units(axes, values, kept).items()}
        if self.octave_weights is not None:
            for name, own in self.octave_weights.at(kept).items():
                found.setdefault(name, []).append(own)
        return found or None


def _nest(runner: Runner, leaves: Iterable[Any]) -> Any:
    """Return output leaves in the structure in which the network returns them."""
    return pytree.tree_unflatten(list(leaves), runner.program.trace.output_spec)
