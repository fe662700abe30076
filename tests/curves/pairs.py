"""Paired outcomes with the properties that tests want."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from widthwise.curves.proof.comparison import Comparison
from widthwise.curves.proof.promise import Promise


def compare(drops: Tensor, promise: Promise, *, units: Tensor | None = None, horizon: int | None = None) -> Comparison:
    """Return the comparison of these drops, float or not."""
    return Comparison(
        drops=drops.double(),
        units=torch.ones(len(drops), dtype=torch.float64) if units is None else units.double(),
        promise=promise,
        horizon=len(drops) if horizon is None else horizon,
    )


def draw_drops(worse: float, better: float, count: int, *, seed: int = 0) -> Tensor:
    """Return drops of 1, 0 and -1: a sample is lost with the first probability, won with the second."""
    uniform = torch.rand(count, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return (uniform < worse).double() - (uniform >= 1 - better).double()


class Table:
    """Scores that are there already; a row is a rung. It counts how many samples of a rung were read."""

    def __init__(self, scores: Tensor, sizes: Sequence[int]) -> None:
        self.scores = scores.double()
        self.sizes = sizes
        self.num_read = [0] * len(scores)

    def read(self, rung: int, /) -> Iterator[Tensor]:
        for part in self.scores[rung].split(list(self.sizes)):
            self.num_read[rung] += len(part)
            yield part


def make_table(drops: Sequence[tuple[float, float]], count: int, *, part: int = 100, seed: int = 0) -> Table:
    """Return right and wrong of a full network that is right on half of the samples, and of one rung per pair.

    Of a pair the first is the share of samples that the rung loses, the second of those that it wins.
    """
    generator = torch.Generator().manual_seed(seed)
    right = torch.rand(count, generator=generator) < 0.5
    rows = [right]
    for worse, better in drops:
        uniform = torch.rand(count, generator=generator)
        # Half are there to be lost, half to be won.
        rows.append(torch.where(right, uniform >= 2 * worse, uniform < 2 * better))
    sizes = [part] * (count // part) + ([count % part] if count % part else [])
    return Table(torch.stack(rows), sizes)
