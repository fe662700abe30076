"""One call of an elastic network: whole, at given widths, or in chunks at drawn ones."""

from collections.abc import Iterable, Mapping
from typing import Any, final

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from widthwise._shared import TraceError
from widthwise.elastic.batch import choose_chunks, chunk_sizes, join_leaves, split_leaves
from widthwise.elastic.octave import OctaveAffine
from widthwise.elastic.widths import mean_fraction
from widthwise.graph import Example, match_call
from widthwise.slicing import Runner, SlicedNetwork

__all__ = ["Passes"]

Draw = Mapping[str, int]


@final
class Passes:
    """Runs a network at widths, on views of its parameters.

    Args:
        sliced: The network with its groups.
        affine: What its outputs go through at each width, or None.
    """

    def __init__(self, sliced: SlicedNetwork, affine: OctaveAffine | None) -> None:
        self._sliced = sliced
        self._affine = affine

    def run_whole(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call the network itself, hooks and all.

        Raises:
            TraceError: It fails, on inputs that are not of the traced shapes.
        """
        try:
            return self._sliced.net(*args, **kwargs)
        except Exception as error:
            try:
                self._sliced.evaluation.leaves_of(self._match(args, kwargs))
            except TraceError as misfit:
                raise misfit from error
            raise

    def run_at(self, widths: Draw, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run at one set of widths; full width in training mode updates buffers."""
        runner, leaves = self._prepare(args, kwargs)
        kept = self._sliced.kept(widths)
        buffers, outputs = runner.run(kept, leaves)
        if widths == self._sliced.groups.sizes:
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
        """Run each chunk of the batch at one of the drawn widths and join the outputs.

        Args:
            draws: The widths of each chunk.
            generator: Chooses among them where the batch is too small for all.
            args: Positional inputs of the network.
            kwargs: Keyword inputs of the network.
            only_one: Whether the law draws one chunk; that one then updates buffers whatever its width.
        """
        runner, leaves = self._prepare(args, kwargs)
        sizes = chunk_sizes(runner.batch_of(leaves), len(draws), least=2 if runner.normalizes_batches else 1)
        draws = choose_chunks(draws, len(sizes), generator)
        kepts = [self._sliced.kept(draw) for draw in draws]
        results = runner.run_together(kepts, split_leaves(leaves, runner.input_batch_axes, sizes))
        if only_one or draws[0] == self._sliced.groups.sizes:
            runner.write_back(kepts[0], results[0][0])
        outputs = [self._adjust(output, draw) for (_, output), draw in zip(results, draws, strict=True)]
        return _nest(runner, join_leaves(outputs, runner.output_batch_axes, sizes))

    def _prepare(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Runner, list[Any]]:
        """Return the runner for a call in the present modes, and the leaves of its inputs."""
        inputs = self._match(args, kwargs)
        self._sliced.fit(inputs)
        runner = self._sliced.current
        return runner, runner.leaves_of(inputs)

    def _match(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Example:
        return match_call(self._sliced.net, self._sliced.example, args, kwargs)

    def _adjust(self, outputs: tuple[Any, ...], widths: Draw) -> tuple[Any, ...]:
        if self._affine is None:
            return outputs
        row = self._affine.row(mean_fraction(widths, self._sliced.groups))
        return tuple(self._affine(leaf, row) if isinstance(leaf, Tensor) else leaf for leaf in outputs)


def _nest(runner: Runner, leaves: Iterable[Any]) -> Any:
    """Return output leaves in the structure in which the network returns them."""
    return pytree.tree_unflatten(list(leaves), runner.program.trace.output_spec)
