"""Score and costs of every width of a trained model, and the choice of one of them under a budget."""

from widthwise.curves.curve import Curve
from widthwise.curves.pick import Limits
from widthwise.curves.point import Point
from widthwise.curves.score import Score
from widthwise.curves.sweep import curve
from widthwise.curves.table import align_cells

__all__ = ["Curve", "Limits", "Point", "Score", "align_cells", "curve"]
