"""The most bytes that the values of one forward pass take at a time, from the traced graph at any widths.

Values are what operators hand to each other, the inputs and outputs of the network among them; each is freed after its
last use, as graph modules of torch.fx and the planners of runtimes do it. Left out are weights, which stay all the
time, and what an operator needs inside of itself, which every runtime does in a way of its own. Runtimes that fuse
layers need less than this, and Python that holds on to a value in a variable needs more.

Which values lie in the same piece of memory is read from the fake tensors of the trace: a view takes nothing and keeps
what it looks at, what is written in place takes nothing new, and a reshape is a copy where it has to be one.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, final

import torch
from torch import fx

from widthwise.graph import Inference, KeptSet, Nested, arguments_by_name, count, fake_tensors, overload_name, shape_of

__all__ = ["count_peak_bytes"]

# Return their input in evaluation mode, which their fake tensors do not show.
_IDENTITIES = {"aten::dropout", "aten::alpha_dropout", "aten::feature_dropout", "aten::feature_alpha_dropout"}


def count_peak_bytes(inference: Inference, kept: Mapping[int, KeptSet], *, batch: int = 1) -> int:
    """Return the most bytes that the values of one forward pass take at a time; nothing is run.

    Args:
        inference: The traced network with its terms.
        kept: The kept set of each atom; full where it has none.
        batch: The number of samples; other dynamic sizes are those of the example. Of branches the dearest counts, of a
            loop one round.
    """
    symbols = dict(inference.trace.symbols)
    if inference.trace.batch_symbol is not None:
        symbols[inference.trace.batch_symbol] = batch
    held = {entry.placeholder for entry in inference.trace.state}
    values = _Values(inference, kept, symbols)
    return values.count_peak(inference.trace.graph, lambda node: node.name in held)


@final
class _Values:
    """The values that nodes yield: in which piece of memory each lies, and how large it is."""

    def __init__(self, inference: Inference, kept: Mapping[int, KeptSet], symbols: Mapping[Any, int]) -> None:
        self._inference = inference
        self._kept = kept
        self._symbols = symbols
        self._origins: dict[int, int] = {}

    def count_peak(self, graph: fx.Graph, is_held: Callable[[fx.Node], bool]) -> int:
        """Return the peak of a graph.

        Args:
            graph: The graph, or a body inside of one.
            is_held: Whether somebody else counts the value of a placeholder.
        """
        nodes = list(graph.nodes)
        self._find_identities(nodes)
        last: dict[int, int] = {}
        outside: set[int] = set()
        for index, node in enumerate(nodes):
            if node.op == "placeholder" and is_held(node):
                outside.update(self._places(node))
            # The caller holds the inputs, and gets the outputs.
            end = len(nodes) if node.op in ("placeholder", "output") else index
            for user in (node, *node.all_input_nodes):
                last.update({place: max(end, last.get(place, 0)) for place in self._places(user)})
        live: dict[int, int] = {}
        peak = 0
        for index, node in enumerate(nodes):
            sizes = self._sizes(node)
            made = {place: size for place, size in sizes.items() if place not in live and place not in outside}
            peak = max(peak, sum(live.values()) + self._inside(node, sum(made.values())))
            live.update(made)
            for place in [place for place in live if last[place] <= index]:
                del live[place]
        return peak

    def _inside(self, node: fx.Node, made: int) -> int:
        """Return the most bytes that are new while a node runs, what it yields included."""
        if not isinstance(nested := node.target, Nested):
            return made
        inner = max(self.count_peak(body.graph, lambda _: True) for body in nested.bodies)
        # What the rounds gave is held beside the round that runs; rows that are stacked at the end are there twice.
        return made + max(inner, made if nested.num_sliced else 0)

    def _places(self, node: fx.Node) -> list[int]:
        return [self._place_of(value) for _, value in _tensors(node)]

    def _sizes(self, node: fx.Node) -> dict[int, int]:
        """Return the bytes of what a node yields, by the piece of memory; views of one piece lie side by side."""
        found: dict[int, int] = {}
        for index, value in _tensors(node):
            place = self._place_of(value)
            found[place] = found.get(place, 0) + self._count(node, index, value) * value.dtype.itemsize
        return found

    def _count(self, node: fx.Node, index: int, value: torch.Tensor) -> int:
        if node in self._inference.axes:
            axes = self._inference.axes_of(node, index)
            return math.prod(count(term, self._kept, self._symbols) for term in axes)
        # What has no term follows no width.
        sizes = (size if isinstance(size, int) else int(size.subs(self._symbols)) for size in shape_of(value))
        return math.prod(sizes)

    def _place_of(self, value: torch.Tensor) -> int:
        place = torch.multiprocessing.reductions.StorageWeakRef(value.untyped_storage()).cdata
        while place in self._origins:
            place = self._origins[place]
        return place

    def _find_identities(self, nodes: list[fx.Node]) -> None:
        for node in nodes:
            if overload_name(node.target).partition(".")[0] in _IDENTITIES:
                arguments = arguments_by_name(node)
                source = arguments["input"]
                if not arguments["train"] and isinstance(source, fx.Node):
                    self._origins[self._places(node)[0]] = self._places(source)[0]


def _tensors(node: fx.Node) -> Iterator[tuple[int, torch.Tensor]]:
    """Yield the fake tensors of a node that have memory, each with its position."""
    for index, value in enumerate(fake_tensors(node)):
        if isinstance(value, torch.Tensor) and torch._C._has_storage(value):  # pyright: ignore[reportPrivateUsage]
            yield index, value
