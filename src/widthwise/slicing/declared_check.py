"""Whether declared groups are what a network does with its units: checks that need no trace, group by group.

A group must pass four: the network runs with fewer of its units and gives outputs of the same shapes; a copy at that
width computes what the network itself does; the width changes the outputs at all; and with its units in another order
the full network computes what it did, which fails where a member was forgotten or named with the wrong factors.
"""

import copy
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from widthwise._shared import GroupError
from widthwise.graph import Example
from widthwise.groups import DeclaredGroups, Group
from widthwise.slicing.declared import DeclaredNetwork

__all__ = ["check_declared"]

_TOLERANCES = {torch.float64: 1e-9, torch.float32: 1e-4}
_NOISE = 0.05


@torch.no_grad()
def check_declared(
    net: nn.Module, declared: DeclaredGroups, example: Example, *, num_widths: int = 3, seed: int = 0
) -> tuple[list[dict[str, int]], dict[str, str]]:
    """Return the sets of random widths at which copies were compared, and the groups that fail, with the reason.

    Args:
        net: The network; a copy of it is checked, in evaluation mode and in float64 where its code allows that.
        declared: Its groups.
        example: What a call of it looks like.
        num_widths: How many random sets of unequal widths.
        seed: Of widths, inputs and orders.

    Raises:
        GroupError: Groups that pass one by one fail together.
    """
    generator = torch.Generator().manual_seed(seed)
    trial = _Trial(net, declared, example, generator)
    faults = {group.name: fault for group in declared.groups if (fault := trial.find_fault(group))}
    tried: list[dict[str, int]] = []
    for widths in _draw_widths(declared, num_widths, generator) if not faults else ():
        fault = trial.find_misfit({group.key: widths[group.name] for group in declared.groups})
        if fault:
            raise GroupError(f"expected groups to shrink together, got one that {fault} at {widths}; name fewer groups")
        tried.append(widths)
    return tried, faults


class _Trial:
    """A copy of a network, and what it computes at full width."""

    def __init__(self, net: nn.Module, declared: DeclaredGroups, example: Example, generator: torch.Generator) -> None:
        self._generator = generator
        for dtype in (torch.float64, None):
            fresh = _wake(copy.deepcopy(net).eval(), generator)
            self._network = DeclaredNetwork(fresh if dtype is None else fresh.to(dtype), declared)
            self._inputs = _redraw(example, generator, dtype)
            try:
                self._expected = self._call(self._network.net)
                break
            except RuntimeError:
                # Code that makes tensors of float32 by itself does not run in float64.
                if dtype is None:
                    raise

    def find_fault(self, group: Group) -> str:
        """Return what is wrong with a group; "" where nothing is."""
        for units in dict.fromkeys((1, max(1, group.size // 2))):
            if fault := self.find_misfit({group.key: units}):
                return f"unsound, the network {fault} with {units} of its units"
        if group.size > 1 and _agree(self._run({group.key: 1}), self._expected):
            return "unsound, its width changes nothing"
        order = torch.randperm(group.size, generator=self._generator).roll(1)
        if not _agree(self._call(self._network.permute({group.key: order})), self._expected):
            return "unsound, the outputs depend on the order of its units: a member is missing or has other factors"
        return ""

    def find_misfit(self, kept: Mapping[int, int]) -> str:
        """Return what is wrong with the network at a kept set; "" where nothing is."""
        try:
            viewed = self._run(kept)
            copied = self._call(self._network.copy(kept))
        except Exception as error:  # noqa: BLE001 whatever the network's code raises is the finding
            return f"does not run ({(str(error) or type(error).__name__).splitlines()[0]})"
        if [each.shape for each in viewed] != [each.shape for each in self._expected]:
            return "gives outputs of other shapes"
        return "" if _agree(viewed, copied) else "computes something else than its copy"

    def _run(self, kept: Mapping[int, int]) -> list[Tensor]:
        parts = self._network.cut_together([kept])[0]
        return _tensors(self._network.run(kept, parts, self._inputs.args, self._inputs.kwargs, updates=False))

    def _call(self, net: nn.Module) -> list[Tensor]:
        return _tensors(net(*self._inputs.args, **self._inputs.kwargs))


def _wake(net: nn.Module, generator: torch.Generator) -> nn.Module:
    """Disturb parameters that hold one value only (zero biases, unit gains): a wrong cut would not show."""
    for parameter in net.parameters():
        if parameter.is_floating_point() and parameter.numel() > 1 and parameter.min() == parameter.max():
            parameter.add_(_NOISE * torch.randn(parameter.shape, generator=generator).to(parameter))
    return net


def _redraw(example: Example, generator: torch.Generator, dtype: torch.dtype | None) -> Example:
    def redraw(leaf: Any) -> Any:
        if not isinstance(leaf, Tensor) or not leaf.is_floating_point():
            return leaf
        return torch.randn(leaf.shape, generator=generator).to(leaf).to(dtype or leaf.dtype)

    args, kwargs = pytree.tree_map(redraw, (example.args, example.kwargs))
    return Example(args=args, kwargs=kwargs)


def _draw_widths(declared: DeclaredGroups, number: int, generator: torch.Generator) -> Iterator[dict[str, int]]:
    for _ in range(number):
        yield {group.name: int(torch.randint(1, group.size + 1, (), generator=generator)) for group in declared.groups}


def _tensors(outputs: Any) -> list[Tensor]:
    return [leaf for leaf in pytree.tree_leaves(outputs) if isinstance(leaf, Tensor)]


def _agree(one: list[Tensor], other: list[Tensor]) -> bool:
    return len(one) == len(other) and all(
        a.shape == b.shape and bool((a - b).abs().max() <= _TOLERANCES.get(a.dtype, 1e-2) * b.abs().max())
        if a.is_floating_point() and a.numel()
        else torch.equal(a, b)
        for a, b in zip(one, other, strict=True)
    )
