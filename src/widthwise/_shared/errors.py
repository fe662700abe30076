"""Every error of the package, one family under `ValueError`, so that one `except` catches all of it; and its warning.

A message has three parts on one line: what was expected, what was got, what to do. The command line prints
that line and nothing else.
"""

from typing import final

__all__ = [
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
    "TrainingError",
    "WidthError",
    "WidthWarning",
    "WidthwiseError",
]


class WidthwiseError(ValueError):
    """Base of every error that widthwise raises on purpose; catch it to catch them all."""


@final
class WidthError(WidthwiseError):
    """Raised for widths or a law that a model cannot run at: outside (0, 1], above full, an unknown group."""


@final
class GroupError(WidthwiseError):
    """Raised where the width groups of a network cannot be found or used: none at all, or a check of them fails."""


@final
class TraceError(WidthwiseError):
    """Raised where a network cannot be traced: the export fails, the batch axis is ambiguous, an input does not fit."""


@final
class MissingExtraError(WidthwiseError, ImportError):
    """Raised where an optional package is needed and cannot be imported; the message names the extra that brings it."""


@final
class DataError(WidthwiseError):
    """Raised for a data set that is unknown, missing or damaged; the message names the file and how to get it."""


@final
class ModelError(WidthwiseError):
    """Raised for a model of the zoo that is unknown, or is asked for with settings it cannot be built from."""


@final
class RecipeError(WidthwiseError):
    """Raised for a recipe that does not exist, cannot be read, or holds an unknown key or a value out of range."""


@final
class RunError(WidthwiseError):
    """Raised for a run directory that is missing, damaged, of another schema or recipe, or not writable."""


@final
class ExportError(WidthwiseError):
    """Raised where a network cannot be exported: an unknown format, or a file that read back differs from the model."""


@final
class CurveError(WidthwiseError):
    """Raised for a curve that cannot be measured or read: a score of NaN, a damaged file, no limit to pick by."""


@final
class NoPointError(WidthwiseError):
    """Raised where no point of a curve lies under the limits given; the message names the nearest one. Exit code 3."""


@final
class TrainingError(WidthwiseError):
    """Raised where training cannot go on, as when the loss is NaN; it names the step, and the checkpoint is kept."""


@final
class WidthWarning(UserWarning):
    """Given where a network at some width is less than it could be: not trained, calibrated or compiled there."""
