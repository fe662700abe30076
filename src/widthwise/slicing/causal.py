"""Causal channels: a unit reads only units that are kept wherever it is itself, so that no width changes its value.

The weights between two groups become block-triangular: what leads from one unit to another stays where every fraction
that keeps the reader keeps what it reads too. Then one pass of the full network holds the units of every narrower one,
and only what sums units for the outputs differs from width to width. [MADE, Germain et al. 2015, arXiv 1502.03509,
masks weights in the same way for another end.]
"""

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from widthwise._shared import GroupError
from widthwise.graph import Atom, Product, Sum, Term, size_of, state_tensor
from widthwise.groups import Group
from widthwise.slicing.causal_mask import CausalMask
from widthwise.slicing.network import SlicedNetwork
from widthwise.slicing.running.table import has_atoms

__all__ = ["keeping_fractions", "mask_weights"]


def mask_weights(sliced: SlicedNetwork) -> nn.Module:
    """Return a copy of a network with a `CausalMask` on every weight that reads units and makes units.

    What is left of a row is stretched, so that its units begin with the variance that they had.

    Raises:
        GroupError: No weight does, or one of them has a parametrization already.
    """
    net = copy.deepcopy(sliced.net)
    groups = {group.key: group for group in sliced.groups}
    axes_of, count = sliced.state_axes(), 0
    for name, summed in sliced.groups.summed.items():
        axes = axes_of[name]
        made = [axis for axis, term in enumerate(axes) if axis != summed and has_atoms(term)]
        if not has_atoms(axes[summed]) or len(made) != 1:
            continue
        mask = _make_mask(axes[made[0]], axes[summed], groups)
        if mask.all():
            continue
        _hold(net, name, mask, made[0], summed)
        count += 1
    if not count:
        raise GroupError(
            "causal channels need a weight that leads from one width group to another, got none in "
            f"{type(net).__name__}: its widths change nothing but its outputs as it is"
        )
    return net


def keeping_fractions(term: Term, groups: Mapping[int, Group]) -> Tensor:
    """Return for each position of an axis the least fraction of every group that keeps it, (positions,) in float64.

    A group of n units keeps unit j from (j + 1/2) / n on; its lower bound, and what no fraction moves, it always keeps.

    Args:
        term: What the axis is made of.
        groups: The width groups, by key.
    """
    if isinstance(term, Product):
        found = torch.zeros(1, dtype=torch.float64)
        for factor in term.factors:
            found = torch.maximum(found[:, None], keeping_fractions(factor, groups)[None, :]).flatten()
        return found
    if isinstance(term, Sum):
        return torch.cat([keeping_fractions(part, groups) for part in term.parts])
    found = torch.zeros(int(size_of(term)), dtype=torch.float64)
    group = groups.get(term.key) if isinstance(term, Atom) else None
    if group is not None and group.follows:
        found += (torch.arange(group.size, dtype=torch.float64) + 0.5) / group.size
        found[: group.lower_bound] = 0
    return found


def _make_mask(made: Term, summed: Term, groups: Mapping[int, Group]) -> Tensor:
    return keeping_fractions(made, groups)[:, None] >= keeping_fractions(summed, groups)[None, :]


def _hold(net: nn.Module, target: str, mask: Tensor, made: int, summed: int) -> None:
    """Put a mask on a weight, and stretch what it leaves of each row."""
    if ".parametrizations." in target:
        raise GroupError(
            f"causal channels need weights without a parametrization, got {target}; take its own off, or keep its "
            "units with freeze="
        )
    weight = state_tensor(net, target)
    shape = [1] * weight.dim()
    shape[made], shape[summed] = mask.shape
    numbers = (mask if made < summed else mask.T).to(weight).reshape(shape)
    left = numbers.mean(dim=summed, keepdim=True)
    with torch.no_grad():
        weight.div_(left.sqrt())
    path, _, name = target.rpartition(".")
    parametrize.register_parametrization(net.get_submodule(path), name, CausalMask(numbers))
