from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from tests.networks import (
    CASES,
    DETERMINISTIC,
    LAW,
    assert_same,
    kept_of,
    make_generator,
    make_model,
    randomize,
    shared_model,
)
from tests.slicing.attending import NETWORKS, elastic, sample
from tests.untraceable import make_model as make_untraceable
from widthwise._shared import GroupError
from widthwise.elastic import Elastic
from widthwise.slicing import permute


def draw_orders(model: Elastic, seed: int) -> dict[str, Tensor]:
    generator = make_generator(seed)
    fixed = model._engine.units().fixed
    sizes = {name: size for name, size in model.groups.sizes.items() if name not in fixed}
    return {name: torch.randperm(size, generator=generator) for name, size in sizes.items()}


def shuffle(model: Elastic, seed: int, optimizer: torch.optim.Optimizer | None = None) -> dict[str, Tensor]:
    orders = draw_orders(model, seed)
    permute(model._engine.units(), orders, optimizer)
    return orders


@pytest.mark.parametrize("name", DETERMINISTIC)
@settings(max_examples=3)
@given(seed=st.integers(0, 2**31))
def test_any_order_computes_the_same_at_full_width(name: str, seed: int) -> None:
    model = shared_model(name).eval()
    randomize(model.net, seed)
    args, kwargs = CASES[name].sample(3, make_generator(seed), torch.float64)
    before, state = model.net(*args, **kwargs), {key: value.clone() for key, value in model.state_dict().items()}
    shuffle(model, seed)
    assert_same(model.net(*args, **kwargs), before)
    assert any(not torch.equal(value, state[key]) for key, value in model.state_dict().items())


@pytest.mark.parametrize("name", ["mlp-norm", "conv", "literal"])
@settings(max_examples=3)
@given(seed=st.integers(0, 2**31))
def test_a_prefix_is_what_the_order_put_first(name: str, seed: int) -> None:
    model = shared_model(name).eval()
    randomize(model.net, seed)
    args, kwargs = CASES[name].sample(3, make_generator(seed), torch.float64)
    orders, widths = draw_orders(model, seed), model.widths(0.5)
    kept = kept_of(model, {group: orders[group][:width] for group, width in widths.items()})
    runner = model._engine.sliced.evaluation
    _, before = runner.run(kept, pytree.tree_leaves((args, kwargs)))
    permute(model._engine.units(), orders)
    with model.at(widths):
        assert_same(pytree.tree_leaves(model(*args, **kwargs)), list(before))


@pytest.mark.slow
@pytest.mark.parametrize("kind", NETWORKS)
def test_attention_and_recurrent_layers_compute_the_same(kind: Callable[[], nn.Module]) -> None:
    model, x = elastic(kind), sample(kind, 2)
    before = model.net(*x)
    shuffle(model, 1)
    assert_same(model.net(*x), before)


def test_named_groups_compute_the_same() -> None:
    model, x = make_untraceable().double().eval(), torch.randn(2, 5, 8, dtype=torch.float64)
    before, weight = model.net(x), model.net[0].fc1.weight.clone()
    shuffle(model, 1)
    assert_same(model.net(x), before)
    assert not torch.equal(model.net[0].fc1.weight, weight)


def test_gradients_move_along() -> None:
    model, x = make_model("mlp"), torch.randn(5, 6, dtype=torch.float64)
    model.net(x).square().sum().backward()
    grads = [parameter.grad.clone() for parameter in model.net.parameters()]
    shuffle(model, 1)
    moved = [parameter.grad.clone() for parameter in model.net.parameters()]
    model.net.zero_grad()
    model.net(x).square().sum().backward()
    assert_same(moved, [parameter.grad for parameter in model.net.parameters()])
    assert not torch.equal(moved[0], grads[0])


@pytest.mark.parametrize(
    "make",
    [
        lambda p: torch.optim.Adam(p, 0.01, amsgrad=True),
        lambda p: torch.optim.SGD(p, 0.1, momentum=0.9),
        lambda p: torch.optim.Adafactor(p, 0.1),
    ],
)
def test_a_further_step_is_the_step_of_the_network_as_it_was(make: Any) -> None:
    nets = []
    for is_shuffled in (False, True):
        model, x = make_model("mlp"), torch.randn(5, 6, generator=make_generator(1), dtype=torch.float64)
        optimizer = make(model.net.parameters())
        for _ in range(2):
            optimizer.zero_grad()
            model.net(x).square().mean().backward()
            optimizer.step()
            if is_shuffled:
                shuffle(model, 1, optimizer)
        nets.append(model.net)
    x = torch.randn(5, 6, generator=make_generator(2), dtype=torch.float64)
    assert_same(nets[1](x), nets[0](x))
    assert not torch.equal(nets[0].fc1.weight, nets[1].fc1.weight)


def test_tied_parameters_of_one_memory_move_once() -> None:
    net = nn.Sequential(nn.Linear(4, 6), nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 6), nn.Linear(6, 2)).double()
    net[3].weight = nn.Parameter(net[1].weight.data)
    model = Elastic(net, (torch.randn(3, 4, dtype=torch.float64),), law=LAW)
    x = torch.randn(3, 4, dtype=torch.float64)
    before = net(x)
    shuffle(model, 3)
    assert_same(net(x), before)


def test_what_is_no_order_is_refused() -> None:
    model = make_model("mlp")
    with pytest.raises(GroupError, match=r"^an order of fc2 must hold each of 0 to 6 once, got \[0, 0, 1\]; make it"):
        permute(model._engine.units(), {"fc2": torch.tensor([0, 0, 1])})


def test_an_optimizer_with_other_shapes_is_refused_and_nothing_is_changed() -> None:
    model = make_model("mlp")
    optimizer = torch.optim.SGD(model.net.parameters(), 0.1)
    optimizer.state[model.net.head.weight]["flat"] = torch.ones(21)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with pytest.raises(
        GroupError, match=r"keep tensors of the shapes of parameters, got flat of shape \(21,\) for one"
    ):
        shuffle(model, 1, optimizer)
    assert_same(dict(model.state_dict()), before)
