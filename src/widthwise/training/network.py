"""From a recipe to the things that training works on: the network, its elastic model, the data, the task."""

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.data import TensorDataset

from widthwise._shared import RecipeError, WidthWarning, make_generator
from widthwise.elastic import Elastic, make_causal
from widthwise.training.classification import Classification
from widthwise.training.language import Language
from widthwise.training.reading import Reading
from widthwise.training.recipe import Recipe
from widthwise.training.stream import Stream
from widthwise.training.task import Task
from widthwise.zoo import (
    DataSplits,
    LSTMLanguageModel,
    TextSplits,
    build_model,
    draw_weights,
    list_data,
    load_data,
    load_text,
)

__all__ = ["Splits", "build_elastic", "build_network", "build_task", "load_splits", "score_name"]

Splits = DataSplits | TextSplits
"""A data set of samples, or a text."""


def build_network(recipe: Recipe) -> nn.Module:
    """Return the plain network of a recipe, its first weights drawn from the recipe's seed.

    Raises:
        RecipeError: Where the network or one of its settings is unknown.
        WidthError: Where the width of a cut network leaves it none of its own class.
    """
    generator = make_generator(recipe.training.seed, Stream.WEIGHTS)
    net = build_model(recipe.model.name, generator=generator, **recipe.model.settings)  # pyright: ignore[reportArgumentType]
    if recipe.model.width == 1:
        return net
    small = _cut(recipe, net)
    draw_weights(small, generator)
    return small


def build_elastic(recipe: Recipe) -> Elastic:
    """Return the elastic model of a recipe, not trained yet.

    Raises:
        RecipeError: As `build_network`, or where the network is for texts and the data is none, or the other way round.
        WidthwiseError: Where no width groups are found in the network.
    """
    net = build_network(recipe)
    example, options = _make_example(recipe, net), _batch_options(net)
    return Elastic(
        make_causal(net, example, batch_dim=options["batch_dim"]) if recipe.elastic.causal else net,
        example,
        **options,
        law=recipe.elastic.make_law(),
        round_to=recipe.elastic.round_to,
        generator=make_generator(recipe.training.seed, Stream.WIDTHS),
    )


def build_task(recipe: Recipe, splits: Splits, net: nn.Module) -> Task:
    """Return what a recipe learns from its data, with a network that `build_network` made.

    Raises:
        RecipeError: Where data and network do not fit together.
    """
    return Language(recipe, splits, net) if isinstance(splits, TextSplits) else Classification(recipe, splits)


def load_splits(recipe: Recipe, folder: Path | None = None) -> Splits:
    """Return the data of a recipe, cut to its `limit`: so many samples, or as many tokens as so many windows.

    Args:
        recipe: Names the data.
        folder: Where the files are; where None, the zoo looks in its usual places.

    Raises:
        DataError: Where the files are missing or damaged.
        RecipeError: Where the data has another shape than the recipe says.
    """
    if _is_text(recipe):
        return _load_text(recipe, folder)
    splits = load_data(recipe.data.name, folder)
    if list(splits.input_shape) != recipe.data.input_shape:
        raise RecipeError(
            f"recipe {recipe.name}: expected inputs of shape {recipe.data.input_shape}, got {list(splits.input_shape)} "
            f"from the data '{splits.name}'; set data.input_shape={list(splits.input_shape)}"
        )
    limit = recipe.data.limit
    return replace(
        splits,
        train=TensorDataset(*splits.train[:limit]),
        validation=TensorDataset(*splits.validation[:limit]),
        test=TensorDataset(*splits.test[:limit]),
    )


def score_name(recipe: Recipe) -> str:
    """Return the name of the score by which a recipe's networks are judged, as its metrics and its curve have it."""
    return Language.score_name if _is_text(recipe) else Classification.score_name


def _load_text(recipe: Recipe, folder: Path | None) -> TextSplits:
    splits = load_text(recipe.data.name, folder)
    if recipe.data.limit is None:
        return splits
    # The last token of a window is predicted from the one before it, and is the first of the next window.
    end = recipe.data.limit * recipe.data.input_shape[0] + 1
    return replace(splits, train=splits.train[:end], validation=splits.validation[:end], test=splits.test[:end])


def _cut(recipe: Recipe, net: nn.Module) -> nn.Module:
    """Return the network of a fraction of the width groups, in its own class."""
    carries = isinstance(net, LSTMLanguageModel) and net.carries_state
    if isinstance(net, LSTMLanguageModel):
        # A state that is handed on would keep its full width.
        net.carries_state = False
    model = Elastic(net, _make_example(recipe, net), **_batch_options(net))
    with warnings.catch_warnings():
        # Its weights, and its statistics with them, are drawn anew.
        warnings.simplefilter("ignore", WidthWarning)
        small = model.extract(recipe.model.width, form="module")
    if isinstance(small, LSTMLanguageModel):
        small.carries_state = carries
    return small.train()


def _make_example(recipe: Recipe, net: nn.Module) -> tuple[Any, ...]:
    reading = Reading.of(net)
    _check_kind(recipe, is_reading=reading is not None)
    if reading is None:
        return (torch.zeros(2, *recipe.data.input_shape),)
    tokens = reading.lay(torch.zeros(2, *recipe.data.input_shape, dtype=torch.int64))
    return reading.arguments(tokens, reading.first_state(tokens))


def _batch_options(net: nn.Module) -> dict[str, Any]:
    """Return where `Elastic` finds the batch, and the state, among the inputs of a network."""
    reading = Reading.of(net)
    return (
        {"batch_dim": 0, "carried": None}
        if reading is None
        else {"batch_dim": reading.batch_dim, "carried": reading.carried}
    )


def _is_text(recipe: Recipe) -> bool:
    return recipe.data.name in list_data("language")


def _check_kind(recipe: Recipe, *, is_reading: bool) -> None:
    if is_reading != _is_text(recipe):
        words = ("a text", "samples with labels")
        wanted, got = words if is_reading else words[::-1]
        raise RecipeError(
            f"recipe {recipe.name}: expected data of {wanted} for the network '{recipe.model.name}', got "
            f"'{recipe.data.name}', {got}; change data.name or model.name"
        )
    if is_reading and len(recipe.data.input_shape) != 1:
        raise RecipeError(
            f"recipe {recipe.name}: expected data.input_shape to be the tokens of a window, such as [35], got "
            f"{recipe.data.input_shape}; give one number"
        )
