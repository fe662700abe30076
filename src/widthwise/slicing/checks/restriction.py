"""Node restriction: a rewritten operator on cut inputs gives the cut of what it gives on full ones.

It says of each node to which class it belongs. L: equal as it stands. Z: equal once the dropped units are zero on the
way in. C: neither, but the operator is known to count its units (means, variances, norms) or to have another neutral
element (extrema), its numbers are then left to the masked oracle; or it takes a number that the network works out of
their count, and is equal with that of the kept ones. Anything else fails.
"""

import operator
from typing import Any

import torch
from torch import fx

from widthwise.graph import Nested, replace_arguments
from widthwise.graph.carried import writes_state
from widthwise.slicing.checks.counted import find_counted
from widthwise.slicing.checks.values import (
    FullRun,
    Kept,
    NodeFailure,
    agree,
    cut_value,
    is_random,
    refuse_to_judge,
    zero_dropped,
)

__all__ = ["check_restriction"]


def check_restriction(full: FullRun, kept: Kept) -> tuple[dict[str, str], list[NodeFailure]]:
    """Return the class of every operator that touches a cut axis, by node name, and those that have none."""
    classes: dict[str, str] = {}
    failures: list[NodeFailure] = []
    cut = _CutNodes(full, kept)
    for node in full.operators():
        if is_random(node) or not full.atoms(node).keys() & kept.keys():
            continue
        try:
            found = cut.classify(node)
        except Exception as error:  # noqa: BLE001  (whatever an operator raises at wrong sizes is the finding)
            refuse_to_judge(error)
            reason = f"cannot run on cut inputs: {(str(error) or type(error).__name__).splitlines()[0]}"
            failures.append(NodeFailure(check="restriction", node=node.name, reason=reason))
            continue
        if found is None:
            reason = "on cut inputs is no cut of its full output"
            failures.append(NodeFailure(check="restriction", node=node.name, reason=reason))
        else:
            classes[node.name] = found
    return classes, failures


class _CutNodes:
    """Runs single nodes of the rewritten graph at a kept set, on the cut values of the full run."""

    def __init__(self, full: FullRun, kept: Kept) -> None:
        self._full, self._kept = full, kept
        graph = full.program.graph
        self._sizes = sizes = full.program.sizes(kept)
        self._live = {node.name for node in graph.nodes}
        self._reads: dict[str, int | float] = {}
        for node in graph.nodes:
            if node.target is operator.getitem and node.name not in full.rewritten:
                index = node.args[1]
                assert isinstance(index, int)
                self._reads[node.name] = sizes[index]

    def classify(self, node: fx.Node) -> str | None:
        """Return the class of a node, or None."""
        new = self._full.program.origins[node]
        if new.name not in self._live:
            return "L"
        got = self._run(node, new, self._fetch)
        if writes_state(node):
            state, written = (self._full.values[source] for source in node.all_input_nodes)
            return "L" if _all_agree([self._full.write_over(node, state, written, self._kept)], got) else None
        if numbers := self._full.numbers(node, self._kept):
            return "C" if self._is_counted(node, numbers, got) else None
        if _all_agree(self._cut_outputs(node, self._full.values[node]), got):
            return "L"
        zeroed = fx.map_arg((node.args, node.kwargs), self._zero_dropped)
        if _all_agree(self._cut_outputs(node, _call(node, zeroed)), got):
            return "Z"
        # What counts units inside a body is left to the masked oracle, which looks at each node.
        is_counted = isinstance(node.target, Nested) or find_counted(node.target) is not None
        return "C" if is_counted else None

    def _is_counted(self, node: fx.Node, numbers: dict[str, Any], got: list[torch.Tensor]) -> bool:
        """Whether the full operator with the numbers of the kept units gives the same, on all units or on zeros."""
        for fetch in (self._full.values.__getitem__, self._zero_dropped):
            arguments = replace_arguments(node.target, *fx.map_arg((node.args, node.kwargs), fetch), numbers)
            if _all_agree(self._cut_outputs(node, _call(node, arguments)), got):
                return True
        return False

    def _run(self, node: fx.Node, new: fx.Node, fetch: Any) -> list[torch.Tensor]:
        result = _call(new, fx.map_arg((new.args, new.kwargs), fetch))
        return [tensor for tensor, _ in self._full.outputs(node, result)]

    def _fetch(self, source: fx.Node) -> Any:
        """Return the value of a rewritten node at the kept set."""
        if source.name in self._reads:
            return self._reads[source.name]
        if source.name not in self._full.rewritten:
            return self._sizes
        return self._full.cut(self._full.rewritten[source.name], self._kept)

    def _cut_outputs(self, node: fx.Node, value: Any) -> list[torch.Tensor]:
        return [cut_value(each, axes, self._kept) for each, axes in self._full.outputs(node, value)]

    def _zero_dropped(self, source: fx.Node) -> Any:
        value, axes = self._full.values[source], self._full.tensor_axes(source)
        if axes is None or not value.is_floating_point():
            return value
        return zero_dropped(value, axes, self._kept)


def _call(node: fx.Node, arguments: Any) -> Any:
    args, kwargs = arguments
    target: Any = node.target
    with torch.no_grad():
        return target(*args, **kwargs)


def _all_agree(expected: list[torch.Tensor], got: list[torch.Tensor]) -> bool:
    return len(expected) == len(got) and all(agree(one, other) for one, other in zip(expected, got, strict=True))
