"""Recipes, the training loop, and run directories."""

from widthwise.training.accuracy import calibration_batches, is_right, labelled_batches, make_score
from widthwise.training.finetuning import Finetuned, finetune
from widthwise.training.loop import train
from widthwise.training.network import Splits, build_elastic, build_network, build_task, load_splits, score_name
from widthwise.training.recipe import Recipe, list_recipes, load_recipe, parse_recipe
from widthwise.training.run import Run, RunState, Status
from widthwise.training.task import Task

__all__ = [
    "Finetuned",
    "Recipe",
    "Run",
    "RunState",
    "Splits",
    "Status",
    "Task",
    "build_elastic",
    "build_network",
    "build_task",
    "calibration_batches",
    "finetune",
    "is_right",
    "labelled_batches",
    "list_recipes",
    "load_recipe",
    "load_splits",
    "make_score",
    "parse_recipe",
    "score_name",
    "train",
]
