"""The engine of a network that torch.export can trace: its rewritten graph runs on views of the parameters."""

from collections.abc import Iterable
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from widthwise._shared import TraceError
from widthwise.elastic.batch import choose_chunks, chunk_sizes, join_leaves, split_leaves
from widthwise.elastic.engine import Draw, Engine
from widthwise.elastic.octave import OctaveAffine
from widthwise.elastic.widths import mean_fraction
from widthwise.graph import Example, match_call
from widthwise.groups import Groups
from widthwise.measure import count_macs
from widthwise.slicing import (
    Form,
    Runner,
    SlicedNetwork,
    Verification,
    copy_state,
    extract_network,
    find_head,
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

    def make_affine(self, num_octaves: int) -> OctaveAffine:
        """Return gains and biases that fit the outputs.

        Raises:
            GroupError: The network has no last layer that they could be folded into.
        """
        runner = self.sliced.evaluation
        head = find_head(runner.program)
        names = [entry.target for entry in runner.program.state]
        bias = runner.state()[names.index(head.bias)]
        return OctaveAffine(num_octaves, bias.shape[0], bias)

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
        buffers, outputs = runner.run(kept, leaves)
        if widths == self.sliced.groups.sizes:
            runner.write_back(kept, buffers)
        return _nest(runner, self._adjust(outputs, widths))

    def run_drawn(
        self,
        draws: list[dict[str, int]],
        generator: torch.Generator,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        *,
        only_one: bool,
    ) -> Any:
        """Run each chunk of the batch at one of the drawn widths and join the outputs."""
        runner, leaves = self._prepare(args, kwargs)
        sizes = chunk_sizes(runner.batch_of(leaves), len(draws), least=2 if runner.normalizes_batches else 1)
        draws = choose_chunks(draws, len(sizes), generator)
        kepts = [self.sliced.kept(draw) for draw in draws]
        results = runner.run_together(kepts, split_leaves(leaves, runner.input_batch_axes, sizes))
        if only_one or draws[0] == self.sliced.groups.sizes:
            runner.write_back(kepts[0], results[0][0])
        outputs = [self._adjust(output, draw) for (_, output), draw in zip(results, draws, strict=True)]
        return _nest(runner, join_leaves(outputs, runner.output_batch_axes, sizes))

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
            state = copy_state(runner, kept)
            if self.affine is not None:
                head, row = find_head(runner.program), self.affine.row(mean_fraction(widths, self.groups))
                self.affine.fold(state, head.weight, head.bias, row)
            return extract_network(self.net, runner, kept, state, example, calibrate=calibrate, refit=refit, form=form)

    def count_macs(self, widths: Draw) -> int:
        """Return the multiply-accumulates of one sample."""
        return count_macs(self.sliced.evaluation.program.inference, self.sliced.kept(widths))

    def verify(self, *, num_widths: int, seed: int) -> Verification:
        """Check the width groups on the network; those that fail are frozen from then on."""
        return verify_and_freeze(self.sliced, num_widths=num_widths, seed=seed)

    def _prepare(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Runner, list[Any]]:
        """Return the runner for a call in the present modes, and the leaves of its inputs."""
        inputs = self._match(args, kwargs)
        self.sliced.fit(inputs)
        runner = self.sliced.current
        return runner, runner.leaves_of(inputs)

    def _match(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Example:
        return match_call(self.sliced.net, self.sliced.example, args, kwargs)

    def _adjust(self, outputs: tuple[Any, ...], widths: Draw) -> tuple[Any, ...]:
        if self.affine is None:
            return outputs
        row = self.affine.row(mean_fraction(widths, self.sliced.groups))
        return tuple(self.affine(leaf, row) if isinstance(leaf, Tensor) else leaf for leaf in outputs)


def _nest(runner: Runner, leaves: Iterable[Any]) -> Any:
    """Return output leaves in the structure in which the network returns them."""
    return pytree.tree_unflatten(list(leaves), runner.program.trace.output_spec)
