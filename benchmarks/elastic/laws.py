"""The laws that are compared: what of a recipe each changes, by row and range of widths."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from benchmarks.elastic.tasks import FRACTIONS

__all__ = ["ALONE", "BUDGETS", "DEFAULT", "FULL_ROWS", "LONGER", "PLAIN", "PUBLISHED", "ROWS"]

BUDGETS = ("equal MACs", "equal epochs")
DEFAULT = "octaves"
PLAIN = "plain, then cut"
# Networks of one width; the second as long as ours is trained.
ALONE, LONGER = "alone", "alone, as many epochs as ours"

# The publication's own optimiser; the others train as ours does.
_PAPER = ("training.learning_rate=8e-4", "training.schedule=constant")

# Ours have one range, and "mrl" cuts only what the head reads.
Row = Mapping[str, Sequence[str]]
_OURS: Mapping[str, Row] = {
    "octaves": {"to 1/32": ("elastic.law=octaves",)},
    "octaves, full more often": {"to 1/32": ("elastic.law=octaves", "elastic.p=0.96")},
    "octaves, weights": {"to 1/32": ("elastic.law=octaves", "elastic.octave_weights=true")},
    "octaves, no affine": {"to 1/32": ("elastic.law=octaves", "elastic.unit_affine=false")},
    "octaves alone": {"to 1/32": ("elastic.law=octaves", "elastic.between=0")},
    "log_uniform": {"to 1/32": ()},
    "log_uniform, affine": {"to 1/32": ("elastic.unit_affine=true",)},
    "sandwich, affine": {"to 1/32": ("elastic.sandwich=4", "elastic.unit_affine=true")},
    "sandwich, affine, distilled": {
        "to 1/32": ("elastic.sandwich=4", "elastic.unit_affine=true", "elastic.distillation=0.5")
    },
    "causal channels": {"to 1/32": ("elastic.causal=true", "elastic.sandwich=6", "elastic.widths=6")},
    "uniform": {"to 1/32": ("elastic.law=uniform",)},
}
_PUBLISHED: Mapping[str, Row] = {
    "paper": {
        "published": ("elastic.law=paper", *_PAPER),
        "to 1/32": ("elastic.law=paper", "elastic.lowest=0.03125", *_PAPER),
    },
    "triangular": {
        "published": ("elastic.law=triangular",),
        "to 1/32": ("elastic.law=triangular", "elastic.lowest=0.03125", "elastic.widths=32"),
    },
    "fjord": {
        "published": ("elastic.law=fjord",),
        "to 1/32": ("elastic.law=fjord", f"elastic.widths={sorted(FRACTIONS)}"),
    },
    "us_nets": {
        "published": ("elastic.law=us_nets",),
        "to 1/32": ("elastic.law=us_nets", "elastic.lowest=0.03125"),
    },
    "matformer": {
        "published": ("elastic.law=matformer",),
        "to 1/32": ("elastic.law=matformer", f"elastic.widths={sorted(FRACTIONS)}"),
    },
    "mrl": {
        "published": ("elastic.law=mrl",),
        "to 1/32": ("elastic.law=mrl", "elastic.lowest=0.03125", "elastic.widths=6", "elastic.sandwich=6"),
    },
}
ROWS: Mapping[str, Row] = MappingProxyType({**_OURS, **_PUBLISHED, PLAIN: {"to 1/32": ("training.method=plain",)}})
PUBLISHED = tuple(_PUBLISHED)
# On tasks that take longer: the presets, without the variants of ours.
FULL_ROWS = (
    "octaves",
    "octaves, full more often",
    "octaves, weights",
    "log_uniform",
    "sandwich, affine, distilled",
    *PUBLISHED,
)
