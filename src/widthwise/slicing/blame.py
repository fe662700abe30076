"""Which width groups are at fault when a network fails a check, and what is left when they are frozen.

A check names the operator that failed it. Of the groups that meet there those are at fault that fail alone, with all
others whole; all of them where none does.
"""

import operator
from collections.abc import Iterable, Iterator
from dataclasses import replace

import torch
from torch import fx

from widthwise.graph import atoms_of
from widthwise.groups import Group
from widthwise.slicing.checks import FullRun, NodeFailure, check_masked, check_restriction, check_shapes
from widthwise.slicing.network import SlicedNetwork
from widthwise.slicing.verify import Verification, verify_network

__all__ = ["find_blamed", "verify_and_freeze"]

# What follows from a fault further up is no fault of those who meet it there: only the first finding of these counts.
_SPREADING = ("shapes", "masked")


def verify_and_freeze(network: SlicedNetwork, *, num_widths: int = 3, seed: int = 0) -> Verification:
    """Verify a network, and freeze the groups that fail until the rest passes.

    Args:
        network: The network; its groups are fewer afterwards where some failed.
        num_widths: As for `verify_network`.
        seed: As for `verify_network`.

    Returns:
        The last verification, with the groups that were frozen; not sound where no group can be blamed.

    Raises:
        GroupError: Nothing can shrink any more.
    """
    frozen: dict[str, str] = {}
    while True:
        found = verify_network(network, num_widths=num_widths, seed=seed)
        blamed = find_blamed(network, found.failures)
        if found.is_sound or not blamed:
            return replace(found, frozen=frozen)
        network.freeze(blamed)
        frozen |= blamed


def find_blamed(network: SlicedNetwork, failures: Iterable[NodeFailure]) -> dict[str, str]:
    """Return the groups at fault, each with the failure that shows it.

    Args:
        network: The network.
        failures: Of `verify_network`, in the order in which they were found.
    """
    blamed: dict[str, str] = {}
    nodes = {name: old for old, new in network.evaluation.program.origins.items() for name in (old.name, new.name)}
    for failure in _first_hand(failures):
        if failure.node in nodes:
            suspects = _meeting(network, nodes[failure.node])
            guilty = [group for group in suspects if failure.check != "order" and _fails_alone(network, group)]
            for group in guilty or suspects:
                blamed.setdefault(group.name, f"unsound, {failure}")
    return blamed


def _first_hand(failures: Iterable[NodeFailure]) -> Iterator[NodeFailure]:
    """Yield the failures that point to a fault, local checks before the one of the whole network."""
    failures = list(failures)
    local = [failure for failure in failures if failure.check not in _SPREADING]
    spread = [failure for check in _SPREADING for failure in failures if failure.check == check]
    yield from local or spread[:1]


def _meeting(network: SlicedNetwork, node: fx.Node) -> list[Group]:
    inference = network.evaluation.program.inference
    if node.target is operator.getitem:
        # Units of a branch or a loop need not be among those that leave it.
        node = node.all_input_nodes[0]
    met = {
        atom.key
        for each in (node, *node.all_input_nodes)
        for output in range(len(inference.axes.get(each, ())))
        for term in inference.axes_of(each, output)
        for atom in atoms_of(term)
    }
    return [group for group in network.groups if group.key in met]


def _fails_alone(network: SlicedNetwork, group: Group) -> bool:
    full = FullRun(network.evaluation, network.example.leaves(), torch.Generator().manual_seed(0))
    for units in dict.fromkeys((1, max(1, group.size // 2))):
        kept = network.kept({group.name: units})
        if check_shapes(full, kept) or check_restriction(full, kept)[1] or check_masked(full, kept):
            return True
    return False
