"""Train a network once with Structural Dropout, get a usable network at every width, take home the one that fits.

The face of the package; everything else is reached through its room, such as `widthwise.graph.rule`.
"""

from widthwise._shared import VERSION as __version__
from widthwise._shared import GroupError, MissingExtraError, WidthError, WidthWarning, WidthwiseError
from widthwise.curves import Curve, Point, Score, curve, pick, search
from widthwise.elastic import Elastic, ElasticFile, Law, StructuralDropout, export, load, save_elastic

__all__ = [
    "Curve",
    "Elastic",
    "ElasticFile",
    "GroupError",
    "Law",
    "MissingExtraError",
    "Point",
    "Score",
    "StructuralDropout",
    "WidthError",
    "WidthWarning",
    "WidthwiseError",
    "__version__",
    "curve",
    "export",
    "load",
    "pick",
    "save_elastic",
    "search",
]
