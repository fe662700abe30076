"""What tests of compiled models share: a backend that counts, and a model beside its plain twin."""

import copy
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, fx, nn

from tests.networks import assert_same, make_generator, randomize
from widthwise.elastic import Elastic, Law

GRID = Law(widths=3, lowest=0.25)


class Counter:
    """A backend that runs graphs as they are ("aot_eager": with gradients of the compiler's own), and counts them."""

    def __init__(self, inner: str = "eager") -> None:
        self.num_graphs = 0
        self._inner = inner

    def __call__(self, graph: fx.GraphModule, inputs: list[Any]) -> Callable[..., Any]:
        self.num_graphs += 1
        return torch._dynamo.lookup_backend(self._inner)(graph, inputs)


def make_pair(net: nn.Module, x: Any, law: Law, **options: Any) -> tuple[Elastic, Elastic]:
    """Two equal models in training mode."""
    randomize(net, 0)
    one, other = (
        Elastic(each, (x,), law=law, generator=make_generator(1), **options).train()
        for each in (net, copy.deepcopy(net))
    )
    return one, other


def make_mlp() -> nn.Sequential:
    return nn.Sequential(nn.Linear(6, 12), nn.ReLU(), nn.Linear(12, 3)).double()


def sample(batch: int, *shape: int, seed: int = 2) -> Tensor:
    return torch.randn(batch, *(shape or (6,)), generator=make_generator(seed), dtype=torch.float64)


def assert_same_steps(one: Elastic, other: Elastic, batches: Iterable[Tensor]) -> None:
    for x in batches:
        assert_same_step(one, other, x)


def assert_same_step(one: Elastic, other: Elastic, x: Tensor) -> None:
    """A step from the same random numbers gives the same loss, gradients and buffers."""
    losses: list[Tensor] = []
    for model in (one, other):
        model.zero_grad()
        with torch.random.fork_rng():
            torch.manual_seed(3)
            losses.append(model.loss((x, None), lambda output, _: output.float().square().mean().to(output.dtype)))
        losses[-1].backward()
    assert_same(losses[0].detach(), losses[1].detach())
    assert one.last_widths == other.last_widths
    for (name, mine), its in zip(one.named_parameters(), other.parameters(), strict=True):
        assert (mine.grad is None) == (its.grad is None), name
        if mine.grad is not None:
            assert_same(mine.grad, its.grad)
    assert_same(list(one.buffers()), list(other.buffers()))
