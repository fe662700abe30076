"""The masked oracle: the full network with dropped units made neutral at every node, against the sliced network.

It runs the traced graph at full size and knows nothing of slicing. After most operators dropped units are set to zero,
which is neutral for everything that carries or sums them. The operators of `counted.py` are told which units are there.
Every value on the way is compared, since one that is wrong may reach no output of a small random network; of a branch
or a loop, what leaves it. Where an operator draws random numbers, both networks are given what the full run drew.
"""

from typing import Any

import torch
from torch import fx

from widthwise.graph import Nested, arguments_by_name, replace_arguments
from widthwise.graph.carried import writes_state
from widthwise.slicing.checks.counted import Handler, find_counted
from widthwise.slicing.checks.values import (
    FullRun,
    Kept,
    NodeFailure,
    agree,
    cut_value,
    is_random,
    keep_mask,
    zero_dropped,
)

__all__ = ["check_masked"]


def check_masked(full: FullRun, kept: Kept) -> list[NodeFailure]:
    """Compare the sliced network at kept sets with the masked full one; return the first operator where they differ."""
    oracle = _Masked(full, kept)
    with torch.no_grad():
        _Sliced(full, kept, oracle).run(full.program.sizes(kept), *full.cut_state(kept), *full.leaves)
    return [] if oracle.failure is None else [oracle.failure]


class _Sliced(fx.Interpreter):
    """Runs the rewritten graph, and shows the oracle what it yields in place of each traced node."""

    def __init__(self, full: FullRun, kept: Kept, oracle: "_Masked") -> None:
        super().__init__(full.program.module)
        self._full, self._kept, self._untouched = full, kept, full.untouched(kept)
        self._oracle = oracle

    def run_node(self, n: fx.Node) -> Any:
        """Run one node, or give out what the full run drew."""
        old = self._full.rewritten.get(n.name)
        if old is None:
            return super().run_node(n)
        if old in self._untouched:
            return self._full.values[old]
        value = _cut_all(self._full, old, self._kept) if is_random(old) else super().run_node(n)
        self._oracle.compare(old, value)
        return value


class _Masked(fx.Interpreter):
    """Runs the traced graph, or one of its bodies, whose values are many in a loop and compared once they leave it.

    It keeps step with the sliced network: so none of them has to hold what it yields until the other one comes by.
    """

    def __init__(self, full: FullRun, kept: Kept, body: fx.GraphModule | None = None) -> None:
        module = full.traced if body is None else body
        super().__init__(module)
        self.failure: NodeFailure | None = None
        self._full, self._kept = full, kept
        self._untouched = full.untouched(kept) if body is None else set[fx.Node]()
        self._originals = full.originals if body is None else {node.name: node for node in body.graph.nodes}
        self._ahead = iter(module.graph.nodes)
        self.args_iter = iter([*full.state, *full.leaves])

    def compare(self, old: fx.Node, sliced: Any) -> None:
        """Run on to a traced node, and compare what it keeps with what the sliced network yields in its place."""
        if self.failure is not None:
            return
        value = self._run_to(old)
        axes = None if old.op == "output" else self._full.tensor_axes(old, value)
        if axes is not None and not agree(cut_value(value, axes, self._kept), sliced):
            reason = "differs between the sliced and the masked full network"
            self.failure = NodeFailure(check="masked", node=old.name, reason=reason)

    def run_node(self, n: fx.Node) -> Any:
        """Run one node with its dropped units neutral."""
        old = self._originals[n.name]
        if old in self._untouched:
            return self._full.values[old]
        value = self._full.values[old] if is_random(old) else self._compute(n)
        axes = None if old.op == "output" else self._full.tensor_axes(old, value)
        return value if axes is None else zero_dropped(value, axes, self._kept)

    def _run_to(self, old: fx.Node) -> Any:
        for node in self._ahead:
            value = self.env[node] = self.run_node(node)
            for spent in self.user_to_last_uses.get(node, ()):
                del self.env[spent]
            if self._originals[node.name] is old:
                return value
        raise AssertionError(f"{old} comes earlier in the trace than what the sliced network ran before it")

    def fetch_args_kwargs_from_env(self, n: fx.Node) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the arguments of a node; numbers that follow from widths are those of the kept sets."""
        args, kwargs = super().fetch_args_kwargs_from_env(n)
        numbers = self._full.numbers(self._originals[n.name], self._kept)
        return replace_arguments(n.target, args, kwargs, numbers) if numbers else (args, kwargs)

    def _compute(self, n: fx.Node) -> Any:
        if isinstance(n.target, Nested):
            bodies = [_Masked(self._full, self._kept, body).run for body in n.target.bodies]
            return n.target.run(bodies, fx.map_arg(n.args, lambda source: self.env[source]))
        if writes_state(old := self._originals[n.name]):
            state, written = (self.env[source] for source in n.all_input_nodes)
            return self._full.write_over(old, state, written, self._kept)
        handler = find_counted(n.target)
        return super().run_node(n) if handler is None else self._run_counted(n, handler)

    def _run_counted(self, n: fx.Node, handler: Handler) -> Any:
        named = arguments_by_name(n)
        source = next(iter(named.values()))
        arguments: dict[str, Any] = fx.map_arg(named, lambda node: self.env[node])
        x = self.env[source]
        mask = keep_mask(x, self._full.axes(self._originals[source.name]), self._kept)
        return handler(arguments, x, mask)


def _cut_all(full: FullRun, node: fx.Node, kept: Kept) -> Any:
    """Return what a node yielded in the full run cut to the kept sets, each tensor of a tuple too."""
    value = full.values[node]
    cut = [cut_value(tensor, axes, kept) for tensor, axes in full.outputs(node, value)]
    return tuple(cut) if isinstance(value, list | tuple) else cut[0]
