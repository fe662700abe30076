"""The laws that have names: ours, the publication's, and those of its relatives."""

from collections.abc import Mapping
from dataclasses import fields, replace
from types import MappingProxyType

from widthwise._shared import WidthError
from widthwise.elastic.laws.distillation import Distillation
from widthwise.elastic.laws.law import CHUNKS, LOWEST, Law

__all__ = ["LAWS", "make_law"]

# Every octave as often as any other width: the first makes them good, the second what lies between.
_OCTAVES = Law(chunks=1, widths=6, between=0.5, unit_affine=True)

LAWS: Mapping[str, Law] = MappingProxyType(
    {
        "default": _OCTAVES,
        "octaves": _OCTAVES,
        # Four passes of each sample: for trainings that are short of samples rather than of time.
        "sandwich": Law(sandwich=4, unit_affine=True, distillation=Distillation(weight=0.5)),
        "log_uniform": Law(),
        "uniform": Law(distribution="uniform"),
        # The publication draws from the lower bound of a layer on; 2^-16 rounds to one unit in groups of up to 98,303.
        "paper": Law(
            distribution="uniform_below_full", sharing="independent", lowest=2**-16, rescale="inverse", chunks=1
        ),
        # One width for each sample. The publication has every width; its blocks are these sixteen.
        "triangular": Law(distribution="uniform", lowest=1 / 16, chunks="each", widths=16),
        # One of five fractions per step, the same in all layers, as its figures have it.
        "fjord": Law(widths=(0.2, 0.4, 0.6, 0.8, 1.0), chunks=1),
        # The released settings of its MobileNets: four widths, from a quarter on.
        "us_nets": Law(distribution="uniform", lowest=0.25, sandwich=4, distillation=Distillation()),
        # One of four sizes of the feed-forward layers per step.
        "matformer": Law(widths=(0.125, 0.25, 0.5, 1.0), chunks=1, reach="hidden"),
        # Every halving of the last representation, on every sample, with one head: its "MRL-E".
        "mrl": Law(lowest=1 / 256, widths=9, sandwich=9, reach="head"),
    }
)
"""The laws by name.

"default" is "octaves": one width per step; "sandwich" has four on every sample; "log_uniform" and "uniform" split each
batch. The others are published ones at their own ranges: "paper" with p = 1 [Knodt 2022], "triangular" [Staley and
Markowitz 2022, arXiv 2205.01235], "fjord" [Horvath et al. 2021, arXiv 2102.13451], "us_nets" [Yu and Huang 2019, arXiv
1903.05134], "matformer" [Devvrit et al. 2023, arXiv 2310.07707], "mrl" [Kusupati et al. 2022, arXiv 2205.13147].
`make_law("fjord", widths=...)` gives another range.
"""


def make_law(law: str | Law, **changes: object) -> Law:
    """Return the law of that name, or the law itself, with `changes` of its settings.

    Raises:
        WidthError: Where the name or a setting is unknown, or a value is out of its range.

    Example:
        >>> make_law("paper", p=0.5).rescale
        'inverse'
    """
    if not isinstance(law, Law) and (not isinstance(law, str) or law not in LAWS):
        raise WidthError(f"law must be one of {', '.join(LAWS)}, or a Law, got {law!r}; use Law(...) for another")
    known = [field.name for field in fields(Law)]
    for name in changes:
        if name not in known:
            raise WidthError(f"a setting of a law must be one of {', '.join(known)}, got {name!r}; use one of these")
    base = law if isinstance(law, Law) else LAWS[law]
    # The lowest of a law that lists its widths belongs to that list.
    moved: dict[str, object] = {"lowest": LOWEST} if isinstance(base.widths, tuple) and "widths" in changes else {}
    if base.is_random and changes.get("sandwich") is not None:
        # Several widths on every sample take the place of one per step.
        moved["chunks"] = CHUNKS
    return replace(base, **{**moved, **changes})  # pyright: ignore[reportArgumentType]
