import re

import pytest
import torch

from tests.conftest import RandomStateCheck
from tests.training.conftest import TINY
from tests.training.texts import TEXT
from widthwise._shared import RecipeError
from widthwise.training import Recipe, build_elastic, build_network, load_splits, parse_recipe
from widthwise.zoo import LSTMLanguageModel


def test_the_first_weights_depend_on_the_seed_alone(untouched_random_state: RandomStateCheck) -> None:
    recipe = parse_recipe(TINY)
    with untouched_random_state():
        one = build_network(recipe)
    torch.manual_seed(5)
    other, third = build_network(recipe), build_network(parse_recipe(TINY, overrides=["seed=1"]))
    weight = one.get_parameter("fc1.weight")
    assert torch.equal(weight, other.get_parameter("fc1.weight"))
    assert not torch.equal(weight, third.get_parameter("fc1.weight"))


def test_the_elastic_model_has_the_law_of_the_recipe_and_draws_by_its_seed(tiny: Recipe) -> None:
    one, other = build_elastic(tiny), build_elastic(parse_recipe(TINY, overrides=["seed=1"]))
    assert one.law == tiny.elastic.make_law()
    assert set(one.widths(1.0).values()) == {32}
    assert set(one.elastic_state()) == {f"unit_affine.{name}" for name in one.unit_affine.state_dict()}
    assert one.generator.initial_seed() != other.generator.initial_seed()


def test_gains_and_biases_come_where_the_recipe_asks_for_them() -> None:
    assert build_elastic(parse_recipe(TINY, overrides=["elastic.unit_affine=true"])).elastic_state()


def test_fractions_leave_a_multiple_of_units_where_the_recipe_asks_for_it() -> None:
    assert set(build_elastic(parse_recipe(TINY, overrides=["round_to=8"])).widths(0.4).values()) == {16}


def test_a_cut_network_has_weights_drawn_for_its_own_size() -> None:
    small, full = (build_network(parse_recipe(TINY, overrides=[f"model.width={width}"])) for width in (0.25, 1.0))
    same = build_network(parse_recipe(TINY, overrides=["model.settings.sizes=[4, 8, 8, 3]"]))
    assert type(small) is type(full)
    assert small.training
    assert {name: p.shape for name, p in small.named_parameters()} == {n: p.shape for n, p in same.named_parameters()}
    weight = small.get_parameter("fc2.weight")
    # Kaiming's bound for eight inputs; what was cut from the full network would lie below that for thirty-two.
    assert 32**-0.5 < weight.abs().max() <= 8**-0.5
    assert not torch.equal(weight, full.get_parameter("fc2.weight")[:8, :8])


def test_a_cut_network_that_carries_a_state_carries_a_smaller_one() -> None:
    recipe = parse_recipe(TEXT, overrides=["model.width=0.5"])
    net = build_network(recipe)
    assert isinstance(net, LSTMLanguageModel)
    assert (net.carries_state, net.lstm.hidden_size) == (True, 8)
    assert build_elastic(recipe).groups.sizes["lstm"] == 8


def test_channels_are_causal_where_the_recipe_asks_for_them() -> None:
    model = build_elastic(parse_recipe(TINY, overrides=["causal=true"]))
    names = [name for name, _ in model.net.named_modules()]
    assert any(name.endswith("parametrizations.weight.0") for name in names)


def test_data_of_another_shape_is_one_line(tiny: Recipe) -> None:
    message = re.escape(
        "recipe tiny: expected inputs of shape [1, 4, 1], got [1, 2, 2] from the data 'clouds'; "
        "set data.input_shape=[1, 2, 2]"
    )
    with pytest.raises(RecipeError, match=message):
        load_splits(parse_recipe(TINY, overrides=["input_shape=[1, 4, 1]"]))


@pytest.mark.parametrize("override", ["model.name=mlpp", "model.settings.size=3"])
def test_an_unknown_network_or_setting_is_a_recipe_error(override: str) -> None:
    with pytest.raises(RecipeError, match="mlp"):
        build_network(parse_recipe(TINY, overrides=[override]))
