"""The law: the distribution from which training draws widths.

A draw gives each chunk of a batch one width per group. With several chunks the first runs at full width and the others
take one width each from equal strata of the distribution, which removes most of the variance of the draw. The law of
the publication [Knodt 2022, arXiv 2205.06906] is one of them; it draws each layer on its own and multiplies what is
kept by full/kept. `named_laws` has it, and those of its relatives, each as a value.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, final, get_args

import torch

from widthwise._shared import WidthError
from widthwise.elastic.laws.distillation import Distillation
from widthwise.elastic.laws.draw import check_generator, draw_positions, pick_units
from widthwise.groups.width import check_count, units

__all__ = ["CHUNKS", "LOWEST", "Distribution", "Law", "Reach", "Rescale", "Sharing"]

Distribution = Literal["log_uniform", "uniform", "uniform_below_full"]
Sharing = Literal["shared", "jittered", "independent"]
Rescale = Literal["none", "sqrt", "inverse"]
Reach = Literal["all", "hidden", "head"]

# The smallest fraction drawn, unless a law says otherwise.
LOWEST = 1 / 32
CHUNKS = 4


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Law:
    """The distribution from which training draws widths, and what goes with them.

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
            "each" gives every sample a width of its own, full width among them; those of one width run together, so
            set `widths` to keep them few.
        widths: Draw from this many fractions only, from `lowest` to 1 at equal ratios (equal distances where the
            distribution is uniform); or from these fractions, ascending to 1, in which case `lowest` is the first. So
            torch.compile meets few shapes. None draws from all.
        between: Probability that a draw leaves `widths` and takes any fraction, so that those between learn too.
        sandwich: Every step runs the whole batch at this many widths: full, the lowest (of three or more), and others
            from equal strata. Training then asks for `model.loss`. None splits the batch instead.
        distillation: How narrower networks learn from the full one; of a `sandwich`.
        weight: A narrower network's loss counts fraction^-weight times as much as the full one's; 0 counts all alike.
            In a step the weights are divided by their mean over the samples.
        slow_start: Steps before the law holds. In the first half everything runs at full width, in the second the
            lowest fraction falls from 1 to `lowest` at an equal pace in octaves.
        reach: Which groups are drawn: "all", those of "hidden" units (no heads and no streams), or the one that the
            "head" reads, the network's last layer.
        unit_affine: Learn a gain and a bias of each unit per octave of width, which `extract` folds in. The optimiser
            must be given `model.parameters()`. Without effect in layers that no trace shows.
        octave_weights: Learn for each octave of width what is added to the shared weights, likewise.

    Raises:
        WidthError: Where a value is out of its range, or a setting has no effect beside another.

    Example:
        >>> law = Law(chunks=2)
        >>> law.draw({"fc1": 256, "fc2": 64}, torch.Generator().manual_seed(0))[0]
        {'fc1': 256, 'fc2': 64}
    """

    distribution: Distribution = "log_uniform"
    sharing: Sharing = "shared"
    lowest: float = LOWEST
    p: float = 1.0
    step: int = 1
    rescale: Rescale = "none"
    chunks: int | Literal["each"] = CHUNKS
    widths: int | tuple[float, ...] | None = None
    between: float = 0.0
    sandwich: int | None = None
    distillation: Distillation | None = None
    weight: float = 0.0
    slow_start: int = 0
    reach: Reach = "all"
    unit_affine: bool = False
    octave_weights: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.widths, list | tuple):
            # A recipe gives a list; a law is hashable.
            fractions = _check_fractions(tuple(self.widths))
            if self.lowest not in (LOWEST, fractions[0]):
                raise WidthError(
                    f"lowest must be the first of widths, got {self.lowest!r} beside {fractions!r}; leave out lowest"
                )
            object.__setattr__(self, "widths", fractions)
            object.__setattr__(self, "lowest", fractions[0])
        _check(self)

    @property
    def levels(self) -> tuple[float, ...]:
        """The fractions to choose among, ascending to 1; none where any fraction may be drawn."""
        if not isinstance(self.widths, int):
            return self.widths or ()
        places = [i / (self.widths - 1) for i in range(self.widths - 1)]
        if self.distribution == "uniform":
            return (*[self.lowest + (1 - self.lowest) * place for place in places], 1.0)
        return (*[self.lowest ** (1 - place) for place in places], 1.0)

    @property
    def is_random(self) -> bool:
        """Whether one width per step is drawn, with none that comes in every step."""
        return self.chunks == 1 and self.sandwich is None

    @property
    def runs_full(self) -> bool:
        """Whether training runs the full width time and again, so that batch norm remembers its statistics.

        Where it does not, batch norm remembers what was drawn, and full width is to be calibrated like any other.
        """
        return not self.is_random or (bool(self.levels) and self.sharing == "shared")

    def draw(
        self,
        sizes: Mapping[str, int],
        generator: torch.Generator,
        *,
        lower_bounds: Mapping[str, int] | None = None,
        steps: Mapping[str, int] | None = None,
        batch: int | None = None,
    ) -> list[dict[str, int]]:
        """Return one dict of kept units per chunk (per width of a sandwich), drawn by `generator` alone.

        A group that no allowed width can truncate (one unit, or a lower bound at its size or above) stays full.

        Args:
            sizes: Units of each group at full width.
            generator: On the CPU. The same state gives the same draws; the global random state is not used.
            lower_bounds: The fewest units of a group; 1 for groups that are not named.
            steps: What goes before `step` in groups that are named.
            batch: The number of samples, where `chunks` is "each".

        Raises:
            WidthError: Where every group would stay full, a lower bound names no group, or the generator is on a GPU.
        """
        check_generator(generator)
        if lower_bounds and not lower_bounds.keys() <= sizes.keys():
            unknown = ", ".join(sorted(lower_bounds.keys() - sizes.keys()))
            raise WidthError(f"lower_bounds must name groups among {', '.join(sizes)}, got {unknown}; leave it out")
        own = {name: (steps or {}).get(name, self.step) for name in sizes}
        spans = self._find_spans(sizes, lower_bounds or {}, steps or {})
        below_full = self.distribution == "uniform_below_full"

        def pick(positions: Sequence[float | None]) -> dict[str, int]:
            return {
                name: span[0] if position is None else pick_units(position, span, own[name], below_full=below_full)
                for (name, span), position in zip(spans.items(), positions, strict=True)
            }

        number, levels = self._plan(batch)
        draws = [pick(each) for each in draw_positions(self, len(spans), number, levels, generator)]
        if self.chunks == "each" and self.sandwich is None:
            # The widest first: what runs first is what batch norm remembers.
            return draws[::-1]
        if self.is_random:
            return draws
        full = dict(sizes)
        if self.sandwich is None or self.sandwich == 2:
            return [full, *draws]
        return [full, pick([0.0 if below_full else self.lowest] * len(spans)), *draws]

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

    def at_step(self, num_steps: int) -> "Law | None":
        """Return the law after a number of steps: itself once `slow_start` is over; None while all is at full width."""
        if num_steps >= self.slow_start:
            return self
        progress = 2 * num_steps / self.slow_start - 1
        if progress <= 0:
            return None
        floor = self.lowest**progress
        if not self.levels:
            return replace(self, lowest=floor)
        *truncated, full = self.levels
        return replace(self, lowest=LOWEST, widths=(*([f for f in truncated if f >= floor] or truncated[-1:]), full))

    def _plan(self, batch: int | None) -> tuple[int, tuple[float, ...]]:
        """Return how many widths are random, and the fractions among which they are; none for all."""
        levels = self.levels
        if self.sandwich is not None:
            return max(1, self.sandwich - 2), (levels[1:-1] if self.sandwich > 2 else ()) or levels[:-1]
        if self.chunks == "each":
            if batch is None:
                raise WidthError('chunks="each" must know the number of samples, got no batch; pass batch=')
            return batch, levels
        return (1, levels) if self.chunks == 1 else (self.chunks - 1, levels[:-1])

    def _find_spans(
        self, sizes: Mapping[str, int], lower_bounds: Mapping[str, int], steps: Mapping[str, int]
    ) -> dict[str, tuple[int, int, int]]:
        spans: dict[str, tuple[int, int, int]] = {}
        for name, size in sizes.items():
            lower = lower_bounds.get(name, 1)
            missing = units(self.lowest, size, lower) - lower
            first = lower - -missing // self.step * self.step
            spans[name] = (size, lower, units(self.lowest, size, lower, steps[name]) if name in steps else first)
        if all(first >= size for size, _, first in spans.values()):
            widest = max(sizes, key=sizes.__getitem__, default=None)
            found = "no group at all" if widest is None else f"groups of at most {sizes[widest]} units ({widest})"
            raise WidthError(
                f"a law must reach a width below full in some group, got lowest {self.lowest:.6g} and step "
                f"{max(steps.values(), default=self.step)} for {found}; use smaller ones, or smaller lower bounds, or "
                "train the network itself"
            )
        return spans


def _check(law: Law) -> None:
    for name, kind in (("distribution", Distribution), ("sharing", Sharing), ("rescale", Rescale), ("reach", Reach)):
        _check_choice(name, getattr(law, name), get_args(kind))
    if not _is_number(law.lowest) or not 0 < law.lowest < 1:
        raise WidthError(f"lowest must lie in (0, 1), got {law.lowest!r}; train the network itself to truncate nothing")
    if not _is_number(law.p) or not 0 < law.p <= 1:
        raise WidthError(f"p must lie in (0, 1], got {law.p!r}; train the network itself to truncate nothing")
    if not _is_number(law.weight) or not 0 <= law.weight < math.inf:
        raise WidthError(f"weight must be a number, at least 0, got {law.weight!r}; use 0 to count all widths alike")
    if not _is_number(law.between) or not 0 <= law.between < 1:
        raise WidthError(f"between must lie in [0, 1), got {law.between!r}; leave out widths to draw from all")
    check_count("step", law.step, "use 1 for every width")
    if law.chunks != "each":
        check_count("chunks", law.chunks, 'use 1 for one per batch, or "each" for one per sample')
    if law.slow_start != 0:
        check_count("slow_start", law.slow_start, "use 0 for none")
    _check_combination(law)


def _check_combination(law: Law) -> None:
    if law.distribution == "uniform_below_full" and law.sharing == "jittered":
        raise WidthError(
            "jittered sharing must go with a distribution of fractions, got 'uniform_below_full'; "
            "use distribution 'uniform', or sharing 'shared' or 'independent'"
        )
    if law.between and law.widths is None:
        raise WidthError(f"between must go with widths to leave, got {law.between!r} alone; leave it out")
    if law.widths is not None:
        if law.distribution == "uniform_below_full":
            raise WidthError(
                "widths must go with a distribution of fractions, got 'uniform_below_full'; use distribution 'uniform'"
            )
        if isinstance(law.widths, int):
            check_count("widths", law.widths, "use None to draw from all", least=2)
    if law.sandwich is not None:
        check_count("sandwich", law.sandwich, "use None to split the batch instead", least=2)
        if law.chunks != CHUNKS:
            raise WidthError(
                f"a sandwich must run whole batches, got chunks={law.chunks!r} beside sandwich={law.sandwich}; "
                "leave out one of the two"
            )
    elif law.distillation is not None:
        raise WidthError(
            "distillation must have the full network's outputs on the same samples, got a law that splits the batch; "
            "add sandwich=2 or more, or leave out distillation"
        )


def _check_fractions(fractions: tuple[float, ...]) -> tuple[float, ...]:
    if (
        len(fractions) < 2
        or not all(_is_number(f) and 0 < f <= 1 for f in fractions)
        or sorted(set(fractions)) != list(fractions)
        or fractions[-1] != 1
    ):
        raise WidthError(
            f"widths must be fractions in (0, 1] that rise to 1, two at least, got {fractions!r}; "
            "write such as (0.25, 0.5, 1.0)"
        )
    return tuple(map(float, fractions))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise WidthError(f"{name} must be one of {', '.join(choices)}, got {value!r}; use one of these")
