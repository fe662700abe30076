"""Tell by trial whether an input holds samples: with it, do the samples of a batch change places together?

An attention mask is as long as the batch and yet may meet it only in operators that would broadcast, so that the trace
does not tie the two. A table that happens to be as long as the batch looks the same.
"""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from widthwise.graph.example import Example
from widthwise.graph.export import silence

__all__ = ["find_samples", "holds_samples", "undisturbed"]


def find_samples(net: nn.Module, example: Example, batch_dim: int) -> dict[int, bool | None]:
    """Return, for each further input leaf as long as the batch, whether it holds samples; None where nothing tells.

    Args:
        net: The network, in evaluation mode.
        example: Inputs of one call, of two samples at least.
        batch_dim: The batch axis of the first tensor; the others' is the same.
    """
    leaves = example.leaves()
    long = [i for i, leaf in enumerate(leaves) if isinstance(leaf, Tensor) and leaf.dim() > batch_dim]
    first, *others = [i for i in long if leaves[i].shape[batch_dim] == leaves[long[0]].shape[batch_dim]]
    if not others or any(tensor.is_meta for tensor in (*net.parameters(), *(leaves[i] for i in long))):
        return dict.fromkeys(others)
    try:
        return _try_together(net, example, first, others, batch_dim)
    except Exception:  # noqa: BLE001 a network that does not run is for whoever traces it to tell
        return dict.fromkeys(others)


def _try_together(
    net: nn.Module, example: Example, first: int, others: list[int], batch_dim: int
) -> dict[int, bool | None]:
    known = {first: batch_dim}
    *early, last = others
    if holds_samples(net, example, known | dict.fromkeys(early, batch_dim), last, batch_dim):
        # All of them together, mostly; one by one only where some do not.
        return dict.fromkeys(others, True)
    found: dict[int, bool | None] = {}
    # Twice, since an input that holds samples hides what others do until it is known.
    for leaf in (*others, *others):
        if found.get(leaf) is not None:
            continue
        found[leaf] = holds_samples(net, example, known, leaf, batch_dim)
        if found[leaf]:
            known[leaf] = batch_dim
    return found


@torch.no_grad()
def holds_samples(net: nn.Module, example: Example, known: dict[int, int], leaf: int, axis: int) -> bool | None:
    """Return whether an input leaf holds samples, None where a trial does not tell.

    Args:
        net: The network, in evaluation mode.
        example: Inputs of one call, of two samples at least.
        known: The batch axis of each leaf that is known to hold samples.
        leaf: The leaf in question.
        axis: The axis that is as long as the batch.
    """
    leaves, spec = pytree.tree_flatten((example.args, example.kwargs))
    generator = torch.Generator().manual_seed(0)
    leaves = [_redraw(each, generator) for each in leaves]
    batch = leaves[leaf].shape[axis]
    order = torch.arange(batch).roll(1)

    def move_all(outputs: list[Any], *, every: bool) -> list[Any]:
        axes = [[axis for axis, size in enumerate(getattr(each, "shape", ())) if size == batch] for each in outputs]
        return [_move(each, found if every else found[:1], order) for each, found in zip(outputs, axes, strict=True)]

    def run(moved: dict[int, int]) -> list[Any]:
        given = [_move(each, [moved[i]] if i in moved else [], order) for i, each in enumerate(leaves)]
        args, kwargs = pytree.tree_unflatten(given, spec)
        return pytree.tree_leaves(net(*args, **kwargs))

    with undisturbed(net):
        outputs, together, apart = run({}), run({**known, leaf: axis}), run(known)
    # Scores of all pairs of samples have the batch on both axes.
    if any(_agree(together, move_all(outputs, every=every)) for every in (False, True)):
        return True
    return False if _agree(apart, move_all(outputs, every=False)) else None


@contextmanager
def undisturbed(net: nn.Module) -> Generator[None]:
    """Leave a network's buffers and the global generators as they were, and say nothing meanwhile."""
    before = [(tensor, tensor.clone()) for tensor in net.buffers()]
    devices = {tensor.device.index for tensor in (*net.parameters(), *net.buffers()) if tensor.is_cuda}
    try:
        with torch.random.fork_rng(devices=sorted(devices)), silence():
            yield
    finally:
        for tensor, value in before:
            tensor.copy_(value)


def _redraw(leaf: Any, generator: torch.Generator) -> Any:
    if not isinstance(leaf, Tensor) or not leaf.is_floating_point():
        return leaf
    return torch.randn(leaf.shape, generator=generator).to(leaf)


def _move(leaf: Any, axes: list[int], order: Tensor) -> Any:
    if isinstance(leaf, Tensor):
        for axis in axes:
            leaf = leaf.index_select(axis, order.to(leaf.device))
    return leaf


def _agree(one: list[Any], other: list[Any]) -> bool:
    pairs = [(a, b) for a, b in zip(one, other, strict=True) if isinstance(a, Tensor) and isinstance(b, Tensor)]
    return all(a.shape == b.shape and torch.allclose(a, b, rtol=1e-4, atol=1e-5, equal_nan=True) for a, b in pairs)
