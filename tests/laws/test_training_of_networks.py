"""What a training step of an elastic model must satisfy, on any of the networks."""

import copy
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from tests.conftest import RandomStateCheck
from tests.networks import (
    CASES,
    DETERMINISTIC,
    assert_same,
    make_generator,
    make_model,
    randomize,
    shared_model,
)
from widthwise.elastic import Elastic, Law
from widthwise.elastic.engines.batch import chunk_sizes, split_leaves

SEEDS = st.integers(0, 2**31)
names = pytest.mark.parametrize("name", DETERMINISTIC)
FOUR = Law(lowest=1 / 10)


def prepare(name: str, seed: int, batch: int) -> tuple[Elastic, tuple[Any, ...], dict[str, Any]]:
    """A model in training mode, with parameters, widths to come and inputs of this seed."""
    model = shared_model(name, law=FOUR).train()
    randomize(model.net, seed)
    model.generator.manual_seed(seed)
    args, kwargs = CASES[name].sample(batch, make_generator(seed + 1), torch.float64)
    return model, args, kwargs


def draw_as_the_model_will(model: Elastic) -> list[dict[str, int]]:
    generator = torch.Generator()
    generator.set_state(model.generator.get_state())
    sizes = {group.name: group.size for group in model.groups if group.follows}
    return [{**model.groups.sizes, **draw} for draw in model.law.draw(sizes, generator)]


def loss_of(outputs: Any, batch: int) -> Tensor:
    """A mean over samples, as users take it; a scalar output counts as such a mean."""
    leaves = [leaf for leaf in pytree.tree_leaves(outputs) if isinstance(leaf, Tensor)]
    return torch.stack([leaf.sin().sum() / (1 if leaf.dim() == 0 else batch) for leaf in leaves]).sum()


def take_gradients(net: nn.Module) -> dict[str, Tensor | None]:
    gradients = {name: parameter.grad for name, parameter in net.named_parameters()}
    net.zero_grad(set_to_none=True)
    return gradients


@names
@settings(max_examples=4)
@given(seed=SEEDS, batch=st.integers(8, 13))
def test_a_training_step_is_its_chunks_run_one_by_one(name: str, seed: int, batch: int) -> None:
    model, args, kwargs = prepare(name, seed, batch)
    statistics = {key: value.clone() for key, value in model.net.named_buffers()}
    draws = draw_as_the_model_will(model)

    outputs = model(*args, **kwargs)
    loss_of(outputs, batch).backward()
    got = take_gradients(model.net)

    for key, value in model.net.named_buffers():
        value.copy_(statistics[key])
    parts = run_by_hand(model, args, kwargs, draws, batch)
    joined = join_by_hand(parts, batch)
    loss_of(joined, batch).backward()
    assert_same(outputs, joined)
    assert_same(got, take_gradients(model.net))


def run_by_hand(
    model: Elastic, args: tuple[Any, ...], kwargs: dict[str, Any], draws: list[dict[str, int]], batch: int
) -> list[tuple[Any, int]]:
    """The outputs of each chunk with its number of samples."""
    leaves, spec = pytree.tree_flatten((args, kwargs))
    sizes = chunk_sizes(batch, len(draws))
    assert len(sizes) == 4
    parts = []
    for chunk, draw, size in zip(split_leaves(leaves, [0] * len(leaves), sizes), draws, sizes, strict=True):
        chunk_args, chunk_kwargs = pytree.tree_unflatten(chunk, spec)
        with model.at(draw):
            parts.append((model(*chunk_args, **chunk_kwargs), size))
    return parts


def join_by_hand(parts: list[tuple[Any, int]], batch: int) -> Any:
    def join(*values: Any) -> Any:
        if not isinstance(values[0], Tensor):
            return values[0]
        if values[0].dim() == 0:
            return torch.stack([value * size for value, (_, size) in zip(values, parts, strict=True)]).sum() / batch
        return torch.cat(values)

    return pytree.tree_map(join, *[outputs for outputs, _ in parts])


@names
@settings(max_examples=4)
@given(seed=SEEDS)
def test_training_at_full_width_is_plain_training(name: str, seed: int) -> None:
    model, args, kwargs = prepare(name, seed, 6)
    plain = copy.deepcopy(model.net)

    with model.at(1.0):
        outputs = model(*args, **kwargs)
    loss_of(outputs, 6).backward()
    expected = plain(*args, **kwargs)
    loss_of(expected, 6).backward()

    assert_same(outputs, expected)
    assert_same(take_gradients(model.net), take_gradients(plain))
    assert_same(dict(model.net.named_buffers()), dict(plain.named_buffers()))


@pytest.mark.parametrize("name", CASES)
def test_the_same_generator_gives_the_same_draws(name: str) -> None:
    model, args, kwargs = prepare(name, 3, 8)
    torch.manual_seed(0)
    first = model(*args, **kwargs)
    torch.manual_seed(0)
    model.generator.manual_seed(3)
    randomize(model.net, 3)

    assert_same(model(*args, **kwargs), first)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mlp-norm", "conv", "dict"])
def test_the_global_random_state_is_untouched(name: str, untouched_random_state: RandomStateCheck) -> None:
    args, kwargs = CASES[name].sample(8, make_generator(0), torch.float64)
    net = CASES[name].make().double()
    with untouched_random_state():
        model = Elastic(net, kwargs or args, law=FOUR)
        loss_of(model.train()(*args, **kwargs), 8).backward()
        with model.eval().at(0.5):
            model(*args, **kwargs)
        model.extract(0.5)
        model.extract(0.5, form="graph")
        model.training_macs(num_draws=2)
    assert model.generator.initial_seed() == torch.initial_seed()


def test_building_a_model_with_dropout_draws_nothing(untouched_random_state: RandomStateCheck) -> None:
    net = CASES["pair"].make().double()
    args, _ = CASES["pair"].sample(8, make_generator(0), torch.float64)
    with untouched_random_state():
        model = Elastic(net, args, law=FOUR).train()
        runner = model._engine.sliced.current
        model.eval().extract(0.5)
    assert runner is not model._engine.sliced.evaluation


def test_dropout_inside_is_drawn_from_the_global_state_and_scaled_as_ever() -> None:
    model, args, _ = prepare("pair", 0, 2000)
    model.net.dropout.p = 0.4
    with model.at(1.0):
        torch.manual_seed(7)
        outputs = model(*args)
    torch.manual_seed(7)
    expected = model.net(*args)

    assert_same(outputs, expected)


@pytest.mark.parametrize("rescale", ["sqrt", "inverse"])
def test_units_that_the_narrow_chunk_drops_learn_from_the_full_one_alone(rescale: Any) -> None:
    model = make_model("mlp", law=Law(lowest=0.1, p=1.0, rescale=rescale, chunks=2)).train()
    (x,), _ = CASES["mlp"].sample(8, make_generator(1), torch.float64)
    (_, narrow) = draw_as_the_model_will(model)
    model(x).square().sum().backward()
    got = take_gradients(model.net)

    model.net(x[:4]).square().sum().backward()
    alone = take_gradients(model.net)

    kept = narrow["fc1"]
    assert kept < model.groups["fc1"].size
    assert_same(got["fc1.weight"][kept:], alone["fc1.weight"][kept:])
    assert not torch.allclose(got["fc1.weight"][:kept], alone["fc1.weight"][:kept])


def test_gradients_of_gradients_are_those_of_the_chunks_run_one_by_one() -> None:
    model, args, kwargs = prepare("mlp", 3, 8)
    draws = draw_as_the_model_will(model)

    def penalty(outputs: Any) -> Tensor:
        gradients = torch.autograd.grad(loss_of(outputs, 8), list(model.net.parameters()), create_graph=True)
        return torch.stack([gradient.square().sum() for gradient in gradients]).sum()

    penalty(model(*args, **kwargs)).backward()
    got = take_gradients(model.net)
    penalty(join_by_hand(run_by_hand(model, args, kwargs, draws, 8), 8)).backward()
    assert_same(got, take_gradients(model.net))
