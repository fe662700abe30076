"""A network with causal channels, for which all that holds for any other network holds too, and one pass more."""

from collections.abc import Sequence
from typing import Any

from torch import nn

from widthwise._shared import GroupError
from widthwise.graph import as_example, atoms_of
from widthwise.graph.call import place_of
from widthwise.groups import Selection
from widthwise.slicing import Program, SlicedNetwork, find_trunk, mask_weights

__all__ = ["make_causal"]


def make_causal(
    net: nn.Module,
    example_inputs: tuple[Any, ...] | dict[str, Any],
    *,
    batch_dim: int = 0,
    stream: bool | None = None,
    queries: bool = False,
    values: bool = False,
    freeze: Sequence[str] = (),
    only: Sequence[str] = (),
    strict: bool = False,
) -> nn.Module:
    """Return a copy of a network in which units read only units that are kept wherever they are themselves.

    A unit then has the same value at every fraction of every group. A step with a law that runs several widths on the
    same samples (`Law(sandwich=6)`, by `model.loss`) costs one pass of the full network and the last layer at each
    width. About half of each weight between two groups is lost; what is left is stretched to the variance it had.

    Args:
        net: The network; it stays as it is.
        example_inputs: As for `Elastic`, which is then given the copy, with the same choice of groups.
        batch_dim: As for `Elastic`; so are the others.
        stream: Whether residual streams shrink.
        queries: Whether the width of queries and keys shrinks.
        values: Whether the width of values shrinks.
        freeze: Patterns of what keeps its size.
        only: Patterns of what may shrink.
        strict: Whether torch.export reads the Python of the network.

    Raises:
        GroupError: Units are summed by something else than a linear layer or a convolution before the outputs, such as
            a layer norm or a layer into a stream that keeps its size; or no weight leads from group to group.
        TraceError: The network cannot be traced.

    Example:
        >>> import torch
        >>> net = nn.Sequential(nn.Linear(8, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 3))
        >>> make_causal(net, (torch.zeros(2, 8),))[2].weight.count_nonzero().item()
        2080
    """
    selection = Selection(stream=stream, queries=queries, values=values, freeze=tuple(freeze), only=tuple(only))
    example = as_example(example_inputs)
    options: Any = {"batch_dim": batch_dim, "selection": selection, "strict": strict}
    causal = mask_weights(SlicedNetwork(net, example, **options))
    sliced = SlicedNetwork(causal, example, **options)
    _refuse_other_sums(causal, sliced.evaluation.program, {group.key for group in sliced.groups if group.follows})
    return causal


def _refuse_other_sums(net: nn.Module, program: Program, keys: set[int]) -> None:
    """Refuse a network that makes units out of what differs from width to width."""
    trunk, inference = find_trunk(net, program, keys), program.inference
    first = None
    for node in program.trace.graph.nodes:
        if node.op != "call_function" or node in trunk:
            continue
        first = first or node
        outputs = range(len(inference.axes.get(node, ())))
        if any(atom.key in keys for i in outputs for term in inference.axes_of(node, i) for atom in atoms_of(term)):
            where = place_of(first) or first.name
            raise GroupError(
                "causal channels need units that read units through linear layers and convolutions alone, but "
                f"{where} sums over them in another way or into an axis that keeps its size, and units are made of "
                "that; keep its units with freeze=, or let that axis shrink (stream=True)"
            )
