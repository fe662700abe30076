"""Compiled graphs: a traced network at the widths of a grid, one graph for each, all sizes in it constants.

What torch.compile takes is the graph on what was cut for it, with every read from the table of sizes settled, so that
nothing in it but the batch (and what else the trace leaves open) is dynamic. How many graphs there are is bounded: what
comes once the bound is reached runs as it is, since a graph thrown away for another would only be compiled again.
"""

import warnings
from collections.abc import Collection, Mapping, Sequence
from textwrap import shorten
from typing import Any, final

import torch
from torch import Tensor, fx

from widthwise._shared import WidthWarning
from widthwise.graph import KeptSet, Nested, overload_name
from widthwise.slicing.running.forward import Forward

__all__ = ["Compilation", "CompiledGraphs"]

Kept = Mapping[int, KeptSet]
Grid = Mapping[int, Collection[int]]

# torch.compile would write them out step by step, which takes minutes, and runs slower than their own kernels.
_RECURRENT = {"aten::lstm", "aten::gru", "aten::rnn_tanh", "aten::rnn_relu"}


@final
class Compilation:
    """What of a network is to be compiled, for all the modes in which it is traced.

    Args:
        grid: The units of each group, by its name, at which there is a graph; groups that are not named may have any.
        max_graphs: The most graphs of one mode.
        options: Those of `torch.compile`.

    Attributes:
        grid: As given.
        max_graphs: As given.
        options: As given, with whole graphs unless they say otherwise.
    """

    def __init__(self, grid: Mapping[str, Collection[int]], max_graphs: int, options: Mapping[str, Any]) -> None:
        self.grid = grid
        self.max_graphs = max_graphs
        self.options: dict[str, Any] = {"fullgraph": True, **options}
        self._told: set[str] = set()

    def warn(self, kind: str, message: str) -> None:
        """Warn of something that is not compiled, once for each kind."""
        if kind not in self._told:
            self._told.add(kind)
            warnings.warn(message, WidthWarning, stacklevel=2)


@final
class CompiledGraphs:
    """The compiled graphs of a network in one mode.

    Args:
        compilation: What is to be compiled.
        grid: The units at which there is a graph, by the key of each group.
    """

    def __init__(self, compilation: Compilation, grid: Grid) -> None:
        self._compilation = compilation
        self._grid = grid
        self._graphs: dict[tuple[Forward, Any], _Compiled] = {}
        self._refused: dict[Forward, bool] = {}

    def run(self, forward: Forward, kept: Kept, sizes: Sequence[int | float], *inputs: Any) -> Any:
        """Run a function of a table of sizes by its graph for a kept set; as it is where there is none.

        Args:
            forward: The function.
            kept: Which units stay.
            sizes: The table at this kept set.
            inputs: What else it takes.

        Warns:
            WidthWarning: There is none, though the kept set is of the grid.
        """
        found = self._find(forward, kept, sizes)
        if found is None:
            return forward(sizes, *inputs)
        while not found.is_broken:
            errors = _compiler_errors()
            try:
                return found(*inputs)
            except errors as error:
                if not found.is_new:
                    # Compiled again, for inputs of another kind, without the care of the first time.
                    found.is_new = True
                    continue
                found.is_broken = True
                # What follows the first paragraph is a trace.
                reason = shorten(str(error).strip().partition("\n\n")[0], 200, placeholder=" ...")
                self._compilation.warn(
                    "failure",
                    "expected torch.compile to take the network at every width, got "
                    f"{type(error).__name__}{f': {reason}' if reason else ''}; it runs as it is there: leave out "
                    "compile, or try another backend=",
                )
        return forward(sizes, *inputs)

    def _find(self, forward: Forward, kept: Kept, sizes: Sequence[int | float]) -> "_Compiled | None":
        key = (forward, tuple(kept.items()) if all(isinstance(units, int) for units in kept.values()) else None)
        if key in self._graphs:
            return self._graphs[key]
        if key[1] is None or any(units not in self._grid.get(group, (units,)) for group, units in kept.items()):
            return None
        if self._is_refused(forward):
            return None
        most = self._compilation.max_graphs
        if len(self._graphs) >= most:
            self._compilation.warn(
                "bound",
                f"expected at most {most} graphs to compile, got widths for one more; those beyond run as they are: "
                "draw fewer widths, with widths=6 or a larger step, or raise max_graphs",
            )
            return None
        self._graphs[key] = _Compiled(forward, sizes, self._compilation.options)
        return self._graphs[key]

    def _is_refused(self, forward: Forward) -> bool:
        """Whether a graph holds what torch.compile makes worse."""
        if forward not in self._refused:
            found = next(filter(None, map(_describe_refused, forward.graph.nodes)), "")
            self._refused[forward] = bool(found)
            if found:
                self._compilation.warn(
                    "refusal",
                    f"expected a network of plain operators to compile, got {found}, which torch.compile would write "
                    "out step by step; it runs as it is: leave out compile",
                )
        return self._refused[forward]


@final
class _Compiled:
    """A compiled graph.

    Args:
        forward: The function.
        sizes: Its table of sizes.
        options: Those of `torch.compile`.
    """

    def __init__(self, forward: Forward, sizes: Sequence[int | float], options: Mapping[str, Any]) -> None:
        # The code of a graph module is its own: what torch.compile counts and caches by code is of one width then.
        self._call = torch.compile(forward.settle(sizes).forward, **options)
        self._open = forward.open_axes() if options.get("dynamic") is None else []
        self.is_new = True
        self.is_broken = False

    def __call__(self, *inputs: Any) -> Any:
        if self._open:
            inputs = tuple([_mark(leaf, axes) if axes else leaf for leaf, axes in zip(inputs, self._open, strict=True)])
        if not self.is_new:
            return self._call(*inputs)
        with warnings.catch_warnings():
            # Of the compiler to itself, as that it looks for a gradient at views of parameters.
            warnings.simplefilter("ignore")
            result = self._call(*inputs)
        self.is_new = False
        return result


def _mark(leaf: Any, axes: Sequence[int]) -> Any:
    """Return a tensor of which torch.compile knows that its sizes along some axes change."""
    from torch._dynamo import maybe_mark_dynamic

    if not isinstance(leaf, Tensor):
        return leaf
    if not leaf.requires_grad:
        # The mark is an attribute, which a tensor of the user's should not get.
        leaf = leaf.detach()
    for axis in axes:
        maybe_mark_dynamic(leaf, axis)
    return leaf


def _describe_refused(node: fx.Node) -> str:
    if isinstance(node.target, Nested):
        return str(node.target)
    name = overload_name(node.target).partition(".")[0]
    return f"a recurrent layer ({name.removeprefix('aten::')})" if name in _RECURRENT else ""


def _compiler_errors() -> tuple[type[Exception], ...]:
    # Importing the compiler takes seconds, and nothing but a compiled graph asks for it.
    from torch._dynamo import exc

    return (exc.TorchDynamoException, exc.FailOnRecompileLimitHit)
