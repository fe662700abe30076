"""What one training step runs: which widths, on how many samples of the batch, and how much each counts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import torch

from widthwise.elastic.engines.batch import choose_chunks, chunk_sizes
from widthwise.elastic.laws.law import Law
from widthwise.elastic.ranks import Ranks
from widthwise.elastic.widths import mean_fraction
from widthwise.groups import Groups

__all__ = ["Drawing", "Part"]


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """Samples that run at one set of widths.

    Attributes:
        widths: Units per group.
        num_samples: How many samples of the batch; as many times as they count, where all samples run at these widths.
        weight: How much the loss of each of them counts; 1 on average over the step.
    """

    widths: dict[str, int]
    num_samples: int
    weight: float


@final
class Drawing:
    """The widths of one training step, drawn when the size of the batch is known, and the same ones at every asking.

    Args:
        law: Of the step; None for full width only.
        groups: All width groups.
        reached: The names of those that the law draws; others stay full.
        generator: Draws the widths, on the CPU.
        ranks: Shares the strata out among processes; None draws for this one alone.

    Attributes:
        only_one: Whether the step runs one random width of a law that seldom or never draws the full one, so that batch
            norm remembers that one.
        chooser: What chooses among the widths where a batch is too small for all; set when they are drawn.
        parts: What ran last.
        num_left_out: How many chunks did not, since the batch was too small.
    """

    def __init__(
        self,
        law: Law | None,
        groups: Groups,
        reached: frozenset[str],
        generator: torch.Generator,
        ranks: Ranks | None = None,
    ) -> None:
        self.only_one = law is not None and not law.runs_full
        self._law = law
        self._groups = groups
        self._reached = reached
        self._generator = generator
        self.chooser = generator
        self._ranks = ranks
        self.parts: list[Part] = []
        self.num_left_out = 0
        self._draws: dict[int | None, list[dict[str, int]]] = {}

    def split(self, batch: int, *, least: int = 1, shuffled: bool = False) -> list[Part]:
        """Return the parts of a batch, in the order of its samples.

        Where each sample has a width of its own, those of equal widths are one part.

        Args:
            batch: The number of samples.
            least: The fewest samples on which the network can run in training. A batch that is too small for all drawn
                widths takes as many of them as it can, each equally likely.
            shuffled: Whether the parts come in a random order.
        """
        draws = self.widths(batch)
        sizes = chunk_sizes(batch, len(draws), least=least)
        is_each = self._law is not None and self._law.chunks == "each"
        self.num_left_out = 0 if is_each else len(draws) - len(sizes)
        draws = choose_chunks(draws, len(sizes), self.chooser)
        if shuffled:
            draws = [draws[i] for i in torch.randperm(len(draws), generator=self.chooser).tolist()]
        pairs = list(zip(draws, sizes, strict=True))
        self.parts = self._weigh(_join_equal(pairs) if is_each else pairs)
        return self.parts

    def stack(self, batch: int) -> list[Part]:
        """Return the widths at which the whole batch runs, full width first; those drawn twice count twice."""
        times: list[tuple[dict[str, int], int]] = []
        for widths in self.widths(batch):
            same = next((i for i, (other, _) in enumerate(times) if other == widths), len(times))
            times[same : same + 1] = [(widths, batch + (times[same][1] if same < len(times) else 0))]
        self.parts = self._weigh(times)
        return self.parts

    def widths(self, batch: int | None = None) -> list[dict[str, int]]:
        """Return the widths of every group for each chunk of a batch."""
        key = batch if self._law is not None and self._law.chunks == "each" else None
        if key not in self._draws:
            self._draws[key] = self._draw(batch)
        return self._draws[key]

    def _draw(self, batch: int | None) -> list[dict[str, int]]:
        if self._law is None:
            return [self._groups.sizes]
        if self._ranks is None:
            return self._draw_from(self._law, self._generator, batch)
        draws, self.chooser = self._ranks.draw(self._law, self._generator, batch, self._draw_from)
        return draws

    def _draw_from(self, law: Law, generator: torch.Generator, batch: int | None) -> list[dict[str, int]]:
        sizes = self._groups.sizes
        drawn = {name: size for name, size in sizes.items() if name in self._reached}
        bounds = {group.name: group.lower_bound for group in self._groups if group.name in drawn}
        steps = {group.name: group.step for group in self._groups if group.name in drawn and group.step > 1}
        draws = law.draw(drawn, generator, lower_bounds=bounds, steps=steps, batch=batch)
        return [{**sizes, **draw} for draw in draws]

    def _weigh(self, parts: list[tuple[dict[str, int], int]]) -> list[Part]:
        if self._law is None or self._law.weight == 0:
            return [Part(widths=widths, num_samples=size, weight=1.0) for widths, size in parts]
        weights = [mean_fraction(widths, self._groups) ** -self._law.weight for widths, _ in parts]
        total = max(1, sum(size for _, size in parts))
        mean = sum(weight * size for weight, (_, size) in zip(weights, parts, strict=True)) / total
        return [
            Part(widths=widths, num_samples=size, weight=weight / (mean or 1.0))
            for weight, (widths, size) in zip(weights, parts, strict=True)
        ]


def _join_equal(pairs: Sequence[tuple[dict[str, int], int]]) -> list[tuple[dict[str, int], int]]:
    """Return widths with their samples, neighbours of equal widths as one."""
    joined: list[tuple[dict[str, int], int]] = []
    for widths, size in pairs:
        if joined and joined[-1][0] == widths:
            joined[-1] = (widths, joined[-1][1] + size)
        else:
            joined.append((widths, size))
    return joined
