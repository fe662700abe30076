"""Floor 4: the law of widths, the paper's layer, and the network that runs at any widths."""

from widthwise.elastic.causal import make_causal
from widthwise.elastic.elastic import Elastic
from widthwise.elastic.files.export import export
from widthwise.elastic.files.loading import ElasticFile, load
from widthwise.elastic.files.one_file import Saved, save_elastic
from widthwise.elastic.laws.distillation import Distillation
from widthwise.elastic.laws.law import Law
from widthwise.elastic.laws.named_laws import LAWS, make_law
from widthwise.elastic.layer import StructuralDropout
from widthwise.elastic.nonfinite import find_nonfinite
from widthwise.elastic.widths import HasWidths, Width, resolve_widths

__all__ = [
    "LAWS",
    "Distillation",
    "Elastic",
    "ElasticFile",
    "HasWidths",
    "Law",
    "Saved",
    "StructuralDropout",
    "Width",
    "export",
    "find_nonfinite",
    "load",
    "make_causal",
    "make_law",
    "resolve_widths",
    "save_elastic",
]
