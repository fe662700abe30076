"""What holds of every network whose groups are sound, whatever they are."""

import torch

from widthwise.slicing import SlicedNetwork, verify_network
from widthwise.slicing.checks import FullRun
from widthwise.slicing.checks.values import agree, cut_value

__all__ = ["assert_sound", "assert_units_may_change_places"]


def assert_sound(network: SlicedNetwork) -> None:
    """Every operator and the whole network give at unequal widths what the groups say, in any order of units."""
    found = verify_network(network, num_widths=2)
    assert found.is_sound, str(found)
    assert_units_may_change_places(network)


def assert_units_may_change_places(network: SlicedNetwork) -> None:
    """The whole network gives the same where the units of every group are shuffled in all its parameters."""
    generator = torch.Generator().manual_seed(1)
    full = FullRun(network.evaluation, network.example.leaves(), generator)
    shuffles = {group.key: torch.randperm(group.size, generator=generator) for group in network.groups}
    state = [cut_value(x, axes, shuffles) for x, axes in zip(full.state, full.program.axes, strict=True)]
    with torch.no_grad():
        _, shuffled = full.program.run(full.program.sizes({}), state, full.leaves)
    for leaf, value in zip(full.program.trace.outputs, shuffled, strict=True):
        assert not isinstance(value, torch.Tensor) or agree(full.values[leaf], value)
