"""Recipes, the training loop, and run directories."""

from widthwise.training.accuracy import calibration_batches, is_right, make_score
from widthwise.training.loop import train
from widthwise.training.network import build_elastic, build_network, load_splits
from widthwise.training.recipe import Recipe, list_recipes, load_recipe, parse_recipe
from widthwise.training.run import Run, RunState, Status

__all__ = [
    "Recipe",
    "Run",
    "RunState",
    "Status",
    "build_elastic",
    "build_network",
    "calibration_batches",
    "is_right",
    "list_recipes",
    "load_recipe",
    "load_splits",
    "make_score",
    "parse_recipe",
    "train",
]
