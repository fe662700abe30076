"""Data sets in memory: pictures, clouds of points and texts."""

from widthwise.zoo.data.catalogue import DataCard, describe_data, list_data, load_data, load_text
from widthwise.zoo.data.clouds import draw_points
from widthwise.zoo.data.splits import DataSplits, Task, TextSplits
from widthwise.zoo.data.windows import cut_windows, iterate_windows, lay_columns, shuffle_windows

__all__ = [
    "DataCard",
    "DataSplits",
    "Task",
    "TextSplits",
    "cut_windows",
    "describe_data",
    "draw_points",
    "iterate_windows",
    "lay_columns",
    "list_data",
    "load_data",
    "load_text",
    "shuffle_windows",
]
