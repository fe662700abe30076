"""The law: the distribution from which training draws widths.

A draw gives each chunk of a batch one width per group. With several chunks the first runs at full width and the others
take one width each from equal strata of the distribution, which removes most of the variance of the draw. The law of
the publication [Knodt 2022, arXiv 2205.06906] is one of them; it draws each layer on its own and multiplies what is
kept by full/kept.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from types import MappingProxyType
from typing import Any, Literal, final, get_args

import torch

from widthwise._shared import WidthError
from widthwise.groups.width import check_count, units

__all__ = ["LAWS", "Distribution", "Law", "Rescale", "Sharing", "check_generator", "make_law", "pick_below_full"]

Distribution = Literal["log_uniform", "uniform", "uniform_below_full"]
Sharing = Literal["shared", "jittered", "independent"]
Rescale = Literal["none", "sqrt", "inverse"]

# Of one group: units at full width, lower bound, and the first width at or above `lowest` that the steps reach.
_Span = tuple[int, int, int]


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Law:
    """The distribution from which training draws widths, and the factor that goes with them.

    Args:
        distribution: Of the fraction f in [lowest, 1): "log_uniform" has ln f uniform, "uniform" has f uniform; both
            round to the nearest width, and so reach full width now and then. "uniform_below_full" is the publication's:
            every allowed width below full is equally likely, and full is not among them.
        sharing: "shared" gives all groups one fraction; "jittered" multiplies it, per group, by an independent
            2^U(-1, 1) and clips to [lowest, 1], so that widths differ between groups; "independent" draws each group on
            its own, as in the publication. With several chunks each then takes the strata in a random order of its own.
        lowest: The smallest fraction drawn, in (0, 1). The lower bound of a group goes before it.
        p: Probability of truncating at all, in (0, 1]; else the draw is full. One toss per chunk, or one per chunk and
            group where `sharing` is "independent".
        step: Kept units are the lower bound of the group plus a multiple of this, or full.
        rescale: What is kept is multiplied by 1 ("none"), sqrt(full/kept) ("sqrt") or full/kept ("inverse").
        chunks: Parts of a batch. The first of several runs at full width, the others take one stratum each, the
            narrowest first. With one chunk and p = 1, full width comes only by rounding: lower p where it matters.

    Raises:
        WidthError: Where a value is out of its range, or a setting has no effect beside another.

    Example:
        >>> law = Law(chunks=2)
        >>> law.draw({"fc1": 256, "fc2": 64}, torch.Generator().manual_seed(0))[0]
        {'fc1': 256, 'fc2': 64}
    """

    distribution: Distribution = "log_uniform"
    sharing: Sharing = "shared"
    lowest: float = 1 / 32
    p: float = 1.0
    step: int = 1
    rescale: Rescale = "none"
    chunks: int = 4

    def __post_init__(self) -> None:
        _check_choice("distribution", self.distribution, get_args(Distribution))
        _check_choice("sharing", self.sharing, get_args(Sharing))
        _check_choice("rescale", self.rescale, get_args(Rescale))
        if not _is_number(self.lowest) or not 0 < self.lowest < 1:
            raise WidthError(
                f"lowest must lie in (0, 1), got {self.lowest!r}; train the network itself to truncate nothing"
            )
        if not _is_number(self.p) or not 0 < self.p <= 1:
            raise WidthError(f"p must lie in (0, 1], got {self.p!r}; train the network itself to truncate nothing")
        check_count("step", self.step, "use 1 for every width")
        check_count("chunks", self.chunks, "use 1 for one width per batch")
        if self.sharing == "jittered" and self.distribution == "uniform_below_full":
            raise WidthError(
                "jittered sharing must go with a distribution of fractions, got 'uniform_below_full'; "
                "use distribution 'uniform', or sharing 'shared' or 'independent'"
            )

    def draw(
        self, sizes: Mapping[str, int], generator: torch.Generator, *, lower_bounds: Mapping[str, int] | None = None
    ) -> list[dict[str, int]]:
        """Return one dict of kept units per chunk, drawn by `generator` alone.

        A group that no allowed width can truncate (one unit, or a lower bound at its size or above) stays full.

        Args:
            sizes: Units of each group at full width.
            generator: On the CPU. The same state gives the same draws; the global random state is not used.
            lower_bounds: The fewest units of a group; 1 for groups that are not named.

        Raises:
            WidthError: Where every group would stay full, a lower bound names no group, or the generator is on a GPU.
        """
        check_generator(generator)
        if lower_bounds and not lower_bounds.keys() <= sizes.keys():
            unknown = ", ".join(sorted(lower_bounds.keys() - sizes.keys()))
            raise WidthError(f"lower_bounds must name groups among {', '.join(sizes)}, got {unknown}; leave it out")
        spans = self._find_spans(sizes, lower_bounds or {})
        draws = [
            {
                name: span[0] if position is None else self._pick(position, span)
                for (name, span), position in zip(spans.items(), positions, strict=True)
            }
            for positions in self._draw_positions(len(spans), generator)
        ]
        return draws if self.chunks == 1 else [dict(sizes), *draws]

    def factor(self, full: int, kept: int) -> float:
        """Return the factor for what is kept, by `rescale`: 1, sqrt(full/kept) or full/kept; 1 at full width in each.

        Raises:
            WidthError: Where `kept` is not in [1, full].
        """
        if not 1 <= kept <= full:
            raise WidthError(f"kept must lie in [1, {full}], got {kept}; use kept={full} for full width")
        if self.rescale == "none":
            return 1.0
        return full / kept if self.rescale == "inverse" else math.sqrt(full / kept)

    def _find_spans(self, sizes: Mapping[str, int], lower_bounds: Mapping[str, int]) -> dict[str, _Span]:
        spans: dict[str, _Span] = {}
        for name, size in sizes.items():
            lower = lower_bounds.get(name, 1)
            missing = units(self.lowest, size, lower) - lower
            spans[name] = (size, lower, lower - -missing // self.step * self.step)
        if all(first >= size for size, _, first in spans.values()):
            widest = max(sizes, key=sizes.__getitem__, default=None)
            found = "no group at all" if widest is None else f"groups up to {widest} of width {sizes[widest]}"
            raise WidthError(
                f"a law must reach a width below full in some group, got lowest {self.lowest:.6g} and step {self.step} "
                f"for {found}; use smaller ones, or smaller lower bounds, or train the network itself"
            )
        return spans

    def _draw_positions(self, num_groups: int, generator: torch.Generator) -> list[Sequence[float | None]]:
        """Return, per truncated chunk and group, where in the distribution the width lies; None where it is full."""
        num_draws = max(1, self.chunks - 1)
        num_columns = num_groups if self.sharing == "independent" else 1
        # One small tensor: a call costs as much as a hundred numbers of it.
        drawn = _draw_uniforms((num_columns, num_draws, 3), generator)
        rows: list[Sequence[float | None]] = list(zip(*map(self._fill_strata, drawn), strict=True))
        if self.sharing == "independent":
            return rows
        if self.sharing == "shared":
            return [[row[0]] * num_groups for row in rows]
        jitters = _draw_uniforms((num_draws, num_groups), generator)
        return [[self._jitter(row[0], j) for j in jitter] for row, jitter in zip(rows, jitters, strict=True)]

    def _fill_strata(self, drawn: list[list[float]]) -> list[float | None]:
        """Return one position in each of the equal strata from triples (place, toss, order) in [0, 1)."""
        strata: Sequence[int] = range(len(drawn))
        if self.sharing == "independent":
            strata = sorted(strata, key=lambda i: drawn[i][2])
        return [
            self._position((stratum + place) / len(drawn)) if toss < self.p else None
            for stratum, (place, toss, _) in zip(strata, drawn, strict=True)
        ]

    def _position(self, quantile: float) -> float:
        """Return the fraction at a quantile, or the quantile itself where the law is one of units, not of fractions."""
        if self.distribution == "log_uniform":
            return self.lowest ** (1 - quantile)
        if self.distribution == "uniform":
            return self.lowest + (1 - self.lowest) * quantile
        return quantile

    def _jitter(self, fraction: float | None, uniform: float) -> float | None:
        # No clip to `lowest` here: no width is picked below it.
        return None if fraction is None else min(1.0, fraction * 2 ** (2 * uniform - 1))

    def _pick(self, position: float, span: _Span) -> int:
        size, lower, first = span
        if first >= size:
            return size
        if self.distribution == "uniform_below_full":
            return pick_below_full(position, size, first, self.step)
        return max(first, _pick_nearest(position, size, lower, self.step))


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
    return replace(law if isinstance(law, Law) else LAWS[law], **changes)  # pyright: ignore[reportArgumentType]


def check_generator(generator: torch.Generator) -> None:
    """Check that `generator` is on the CPU, so that a draw never waits for a device; raises WidthError."""
    if generator.device.type != "cpu":
        raise WidthError(f"generator must be on the cpu, got one on {generator.device}; use torch.Generator()")


def pick_below_full(quantile: float, size: int, first: int, step: int) -> int:
    """Return one of first, first + step, ... below `size`: each equally likely where `quantile` is uniform in [0, 1).

    `first` must be below `size`.
    """
    count = (size - first + step - 1) // step
    # A quantile next to 1 may round up to 1 in the product.
    return first + step * min(count - 1, int(quantile * count))


def _pick_nearest(fraction: float, size: int, lower: int, step: int) -> int:
    """Return the width nearest to `fraction` of `size`, a tie upwards, among lower, lower + step, ... and `size`."""
    if step == 1:
        return units(fraction, size, lower)
    wanted = fraction * size
    top = lower + (size - 1 - lower) // step * step
    if wanted > top:
        return size if 2 * wanted >= top + size else top
    return lower + step * max(0, math.floor((wanted - lower) / step + 0.5))


def _draw_uniforms(shape: tuple[int, ...], generator: torch.Generator) -> list[list[Any]]:
    return torch.rand(shape, generator=generator, dtype=torch.float64, device="cpu").tolist()


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise WidthError(f"{name} must be one of {', '.join(choices)}, got {value!r}; use one of these")


LAWS: Mapping[str, Law] = MappingProxyType(
    {
        "log_uniform": Law(),
        "uniform": Law(distribution="uniform"),
        # The publication draws from the lower bound of a layer on; 2^-16 rounds to one unit in groups of up to 98,303.
        "paper": Law(
            distribution="uniform_below_full", sharing="independent", lowest=2**-16, rescale="inverse", chunks=1
        ),
    }
)
"""The laws by name: "log_uniform" (the default), "uniform", and "paper", which is the publication's with p = 1."""
