"""What every room stands on: errors, files, generators, progress, optional packages, the environment."""

from widthwise._shared.environment import describe_environment
from widthwise._shared.errors import (
    CurveError,
    DataError,
    ExportError,
    GroupError,
    MissingExtraError,
    ModelError,
    NoPointError,
    RecipeError,
    RunError,
    TraceError,
    TrainingError,
    WidthError,
    WidthWarning,
    WidthwiseError,
)
from widthwise._shared.extras import require
from widthwise._shared.files import read_json, replace_file, write_json, write_text
from widthwise._shared.progress import Tracker, track
from widthwise._shared.randomness import generator_state, make_generator, restore_generator
from widthwise._shared.version import VERSION

__all__ = [
    "VERSION",
    "CurveError",
    "DataError",
    "ExportError",
    "GroupError",
    "MissingExtraError",
    "ModelError",
    "NoPointError",
    "RecipeError",
    "RunError",
    "TraceError",
    "Tracker",
    "TrainingError",
    "WidthError",
    "WidthWarning",
    "WidthwiseError",
    "describe_environment",
    "generator_state",
    "make_generator",
    "read_json",
    "replace_file",
    "require",
    "restore_generator",
    "track",
    "write_json",
    "write_text",
]
