"""Score and costs of every width of a trained model, and the choice of one of them under a budget."""

from widthwise.curves.cells import align_cells, join_cells
from widthwise.curves.cost import COST_WORDS, Cost, cost_of
from widthwise.curves.curve import Curve
from widthwise.curves.evidence import Evidence, Trial
from widthwise.curves.groupwise.search import search
from widthwise.curves.pick import Limits
from widthwise.curves.point import Point
from widthwise.curves.proof.choice import pick
from widthwise.curves.score import Score
from widthwise.curves.sweep import curve
from widthwise.curves.uncertainty import half_band

__all__ = [
    "COST_WORDS",
    "Cost",
    "Curve",
    "Evidence",
    "Limits",
    "Point",
    "Score",
    "Trial",
    "align_cells",
    "cost_of",
    "curve",
    "half_band",
    "join_cells",
    "pick",
    "search",
]
