"""Ranks: how the widths of a step are spread over the processes of a data parallel training.

Every process runs a batch of its own, and its gradients are averaged with those of the others. If all draw the same
widths, a step sees as many strata of the law as one process alone. Spread, each stratum is cut into as many finer ones
as there are processes, and each process takes one of them, so that a step covers the law that much more finely.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Literal, final, get_args

import torch
from torch import distributed

from widthwise._shared import WidthError
from widthwise.elastic.laws.law import Law

__all__ = ["AcrossRanks", "Ranks", "draw_share", "pick_share"]

AcrossRanks = Literal["spread", "same"]
Draws = list[dict[str, int]]
Draw = Callable[[Law, torch.Generator, int | None], Draws]

# So many strata hold next to no variance; finer ones would only be dearer to draw.
_MOST_PARTS = 16


@final
class Ranks:
    """Draws the widths of this process, alone or as one of several.

    Args:
        across_ranks: "spread" or "same".

    Raises:
        WidthError: It is neither.
    """

    def __init__(self, across_ranks: AcrossRanks) -> None:
        if across_ranks not in get_args(AcrossRanks):
            raise WidthError(f"across_ranks must be one of spread, same, got {across_ranks!r}; use one of these")
        self.across_ranks = across_ranks
        self._agreed = False

    def agree(self, law: Law, generator: torch.Generator) -> None:
        """Give the generator the state that it has in rank 0, in the first call among several processes.

        Raises:
            WidthError: The law is not that of rank 0.
        """
        if not self._agreed and _count_ranks() > 1:
            _agree(law, generator)
            self._agreed = True

    def draw(
        self, law: Law, generator: torch.Generator, batch: int | None, draw: Draw
    ) -> tuple[Draws, torch.Generator]:
        """Return the widths of each chunk, and a generator for choices that the other processes need not make.

        Args:
            law: From which widths are drawn.
            generator: Draws them. The first call among several processes gives it the state that it has in rank 0.
            batch: The number of samples of this process, where the law asks for it; the same in all of them.
            draw: Draws from a law by a generator, for a number of samples.

        Raises:
            WidthError: The law is not that of rank 0.
        """
        if _count_ranks() == 1:
            return draw(law, generator, batch), generator
        self.agree(law, generator)
        rank, num_ranks = distributed.get_rank(), distributed.get_world_size()
        seed, turn = torch.randint(2**62, (2,), generator=generator).tolist()
        # A batch too small for all chunks lets chance choose, in one process and not in another.
        own = torch.Generator().manual_seed(seed if self.across_ranks == "same" else seed + rank)
        # Of a sandwich of two the one drawn is the only one that may be the lowest.
        if self.across_ranks == "same" or law.sandwich == 2:
            return draw(law, generator, batch), own
        return draw_share(law, generator, batch, draw, rank + turn, min(num_ranks, _MOST_PARTS)), own


def draw_share(
    law: Law, generator: torch.Generator, batch: int | None, draw: Draw, place: int, num_parts: int
) -> Draws:
    """Return the share of one process in widths that are drawn from as many times finer strata."""
    if law.sandwich is not None:
        num_strata = law.sandwich - 2
        full, lowest, *parts = draw(replace(law, sandwich=2 + num_strata * num_parts), generator, batch)
        return [full, lowest, *(parts[i] for i in pick_share(num_strata, num_parts, place))]
    if law.chunks == "each":
        return draw(law, generator, (batch or 1) * num_parts)[place % num_parts :: num_parts]
    num_strata = max(1, law.chunks - 1)
    full, *parts = draw(replace(law, chunks=1 + num_strata * num_parts), generator, batch)
    share = [parts[i] for i in pick_share(num_strata, num_parts, place)]
    return share if law.chunks == 1 else [full, *share]


def pick_share(num_strata: int, num_parts: int, place: int) -> list[int]:
    """Return which of num_strata x num_parts fine strata, narrowest first, are those of a process.

    One in each coarse stratum: of the widest the part `place` (modulo `num_parts`), of all others the one as far from
    the top as that is from the bottom, since the process with the widest network of all has most to compute.

    Example:
        >>> [pick_share(3, 2, place) for place in (0, 1)]
        [[1, 3, 4], [0, 2, 5]]
    """
    place %= num_parts
    others = [stratum * num_parts + num_parts - 1 - place for stratum in range(num_strata - 1)]
    return [*others, (num_strata - 1) * num_parts + place]


def _count_ranks() -> int:
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


def _agree(law: Law, generator: torch.Generator) -> None:
    """Give the generator the state that it has in rank 0, whatever seed this process was started with."""
    told: list[object] = [(generator.get_state(), repr(law))]
    distributed.broadcast_object_list(told)
    state, first = told[0]  # pyright: ignore[reportGeneralTypeIssues]
    if first != repr(law):
        raise WidthError(
            f"every process must train with the same law, got {law!r} in rank {distributed.get_rank()} and {first} in "
            "rank 0; build the model alike in all of them"
        )
    generator.set_state(state)
