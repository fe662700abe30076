"""Plain models and data sets; they have never heard of dropout."""

from widthwise.zoo.data import (
    DataCard,
    DataSplits,
    Task,
    TextSplits,
    cut_windows,
    describe_data,
    draw_points,
    iterate_windows,
    lay_columns,
    list_data,
    load_data,
    load_text,
    shuffle_windows,
)
from widthwise.zoo.models import MLP, ResidualConvNet, build_model, list_models

__all__ = [
    "MLP",
    "DataCard",
    "DataSplits",
    "ResidualConvNet",
    "Task",
    "TextSplits",
    "build_model",
    "cut_windows",
    "describe_data",
    "draw_points",
    "iterate_windows",
    "lay_columns",
    "list_data",
    "list_models",
    "load_data",
    "load_text",
    "shuffle_windows",
]
