"""From a recipe to the things that training works on: the network, its elastic model, the data."""

from pathlib import Path

import torch
from torch import nn
from torch.utils.data import TensorDataset

from widthwise._shared import RecipeError, make_generator
from widthwise.elastic import Elastic, make_causal
from widthwise.training.recipe import Recipe
from widthwise.zoo import DataSplits, build_model, load_data

__all__ = ["Stream", "build_elastic", "build_network", "load_splits"]


class Stream:
    """What is drawn from the seed of a recipe: the second integer of each generator (the epoch is the third)."""

    WEIGHTS, ORDER, DROPOUT, WIDTHS, CALIBRATION = range(5)


def build_network(recipe: Recipe) -> nn.Module:
    """Return the plain network of a recipe, its first weights drawn from the recipe's seed.

    Raises:
        RecipeError: Where the network or one of its settings is unknown.
    """
    generator = make_generator(recipe.training.seed, Stream.WEIGHTS)
    return build_model(recipe.model.name, generator=generator, **recipe.model.settings)  # pyright: ignore[reportArgumentType]


def build_elastic(recipe: Recipe) -> Elastic:
    """Return the elastic model of a recipe, not trained yet.

    Raises:
        RecipeError: As `build_network`.
        WidthwiseError: Where no width groups are found in the network.
    """
    example = torch.zeros(2, *recipe.data.input_shape)
    net = build_network(recipe)
    return Elastic(
        make_causal(net, (example,)) if recipe.elastic.causal else net,
        (example,),
        law=recipe.elastic.make_law(),
        output_affine=recipe.elastic.output_affine,
        unit_affine=recipe.elastic.unit_affine,
        generator=make_generator(recipe.training.seed, Stream.WIDTHS),
    )


def load_splits(recipe: Recipe, folder: Path | None = None) -> DataSplits:
    """Return the data of a recipe, cut to its `limit`.

    Args:
        recipe: Names the data.
        folder: Where the files are; where None, the zoo looks in its usual places.

    Raises:
        DataError: Where the files are missing or damaged.
        RecipeError: Where the data has another shape than the recipe says.
    """
    splits = load_data(recipe.data.name, folder)
    if list(splits.input_shape) != recipe.data.input_shape:
        raise RecipeError(
            f"recipe {recipe.name}: expected inputs of shape {recipe.data.input_shape}, got {list(splits.input_shape)} "
            f"from the data '{splits.name}'; set data.input_shape={list(splits.input_shape)}"
        )
    limit = recipe.data.limit
    return DataSplits(
        name=splits.name,
        train=TensorDataset(*splits.train[:limit]),
        validation=TensorDataset(*splits.validation[:limit]),
        test=TensorDataset(*splits.test[:limit]),
        num_classes=splits.num_classes,
        input_shape=splits.input_shape,
    )
