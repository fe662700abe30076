"""How active each unit of a network is, where it is read.

The variance of its activation over samples and positions: after the nonlinearity and the norm, at the input of each
layer that sums over the units. (What a unit always gives, a bias can give too.) These inputs are found by the terms on
the tensors of the trace, so nothing needs to be hooked. Each counts in units of its own mean, and their mean is the
score.
"""

from collections.abc import Sequence
from typing import Any, final

import torch
from torch import Tensor, fx

from widthwise._shared import GroupError
from widthwise.graph import Inference
from widthwise.groups import Group
from widthwise.slicing.network import SlicedNetwork
from widthwise.slicing.running.program import Program
from widthwise.slicing.running.runner import Result, Runner
from widthwise.slicing.units import holds, sum_by_unit

__all__ = ["Activation"]


@final
class Activation:
    """Runs a traced network at full width and measures how much its activations vary."""

    def __init__(self) -> None:
        self._totals: dict[str, dict[str, Tensor]] = {}
        self._sites: dict[Program, dict[str, list[tuple[fx.Node, Group]]]] = {}

    @torch.no_grad()
    def run(self, sliced: SlicedNetwork, runner: Runner, leaves: Sequence[Any]) -> Result:
        """Run the network; returns the new buffer values and the output leaves.

        Args:
            sliced: The network with its groups.
            runner: Of the mode in which it is.
            leaves: The inputs.
        """
        program = runner.program
        if program not in self._sites:
            self._sites[program] = _find_sites(program, sliced.groups)
            for group in sliced.groups:
                self._totals.setdefault(group.name, {})
        interpreter = _Watch(program, self._sites[program], self._totals, runner.symbols_of(leaves))
        return interpreter.run(program.sizes({}), *runner.state(), *leaves)

    def scores(self) -> dict[str, Tensor]:
        """Return the variances by the name of the group.

        Raises:
            GroupError: No activation of some group was seen to vary.
        """
        seen = {
            name: [each / each.mean() for each in map(_find_variance, sites.values()) if each.any()]
            for name, sites in self._totals.items()
        }
        if silent := next((name for name, found in seen.items() if not found), None):
            raise GroupError(
                f"activations must vary where layers read them, got none of {silent} that does (the samples are alike, "
                'or the layers stand inside of a branch or a loop); sort by="taylor" or by="magnitude"'
            )
        return {name: torch.stack(found).mean(0) for name, found in seen.items()}


class _Watch(fx.Interpreter):
    """Runs the graph and sums up counts, values and squares at sites."""

    def __init__(
        self,
        program: Program,
        sites: dict[str, list[tuple[fx.Node, Group]]],
        totals: dict[str, dict[str, Tensor]],
        symbols: dict[Any, int],
    ) -> None:
        super().__init__(program.module)
        self.extra_traceback = False
        self._inference = program.inference
        self._given = sites, totals, symbols

    def run_node(self, n: fx.Node) -> Any:
        """Run one node; add up what it yields."""
        value = super().run_node(n)
        sites, totals, symbols = self._given
        for node, group in sites.get(n.name, ()):
            powers = torch.ones((), device=value.device).expand(value.shape), value.real, value.abs().square()
            for axis, term in enumerate(self._inference.axes_of(node)):
                if holds(term, group):
                    found = torch.stack([sum_by_unit(each, axis, term, group, symbols) for each in powers])
                    totals[group.name][n.name] = totals[group.name].get(n.name, 0) + found
        return value


def _find_variance(totals: Tensor) -> Tensor:
    """Return the variance of each unit from its count, its sum and its sum of squares."""
    count, total, squares = totals
    variance = squares / count - (total / count).square()
    # What rounding leaves of a unit that never varies.
    return variance.where(variance > 1e-6 * squares / count, 0)


def _find_sites(program: Program, groups: Sequence[Group]) -> dict[str, list[tuple[fx.Node, Group]]]:
    """Return the traced nodes whose values are watched, with the group, by the name of the rewritten node."""
    sites: dict[str, list[tuple[fx.Node, Group]]] = {}
    for group in groups:
        for node in _find_read(program.inference, group):
            sites.setdefault(program.origins[node].name, []).append((node, group))
    return sites


def _find_read(inference: Inference, group: Group) -> list[fx.Node]:
    """Return what layers take in that sum over the units; where none is known to, what any operator sums over."""
    readers = [
        node
        for node, terms in inference.reads.items()
        if node.graph is inference.trace.graph and any(holds(inference.solver.resolve(term), group) for term in terms)
    ]
    layers = [node for node in readers if inference.outcomes[node].contracted]
    for chosen in (layers, readers):
        found = dict.fromkeys(
            source
            for node in chosen
            for source in node.all_input_nodes
            if source.op != "placeholder"
            and len(inference.axes.get(source, ())) == 1
            and any(holds(term, group) for term in inference.axes_of(source))
        )
        if found:
            return list(found)
    return []
