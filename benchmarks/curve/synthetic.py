"""Curves whose true drops are known, and networks' outcomes on samples that have these drops in the mean.

Outcomes of two widths agree the more, the nearer the widths are, as those of a real network do: a sample is right where
a normal variable, which changes smoothly with the width, is below what the accuracy of the width asks for.
"""

# W widths, N samples
import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

__all__ = ["LIMIT", "SHAPES", "UNITS", "draw_losses", "draw_right", "find_smallest"]

UNITS = 256
LIMIT = 0.01
_Drops = Callable[[torch.Generator], Tensor]


def _fractions() -> Tensor:
    return torch.arange(1, UNITS + 1, dtype=torch.float64) / UNITS


def _uniform(low: float, high: float, generator: torch.Generator) -> float:
    return low + (high - low) * float(torch.rand((), generator=generator, dtype=torch.float64))


def _edge(generator: torch.Generator) -> float:
    """A fraction, evenly drawn in octaves."""
    return 2 ** _uniform(-4.5, -0.25, generator)


def _with_full(drops_W: Tensor) -> Tensor:
    drops_W[-1] = 0.0
    return drops_W


def _smooth(generator: torch.Generator) -> Tensor:
    edge, power = _edge(generator), _uniform(0.6, 1.6, generator)
    return _with_full(LIMIT * (_fractions() ** -power - 1) / (edge**-power - 1))


def _steep(generator: torch.Generator) -> Tensor:
    edge = _edge(generator)
    slope_W = 0.3 * LIMIT * (1 - _fractions())
    return _with_full(slope_W + 5 * LIMIT * (_fractions() < edge))


def _above(generator: torch.Generator) -> Tensor:
    return _with_full(torch.full((UNITS,), LIMIT * _uniform(1.001, 1.1, generator), dtype=torch.float64))


def _below(generator: torch.Generator) -> Tensor:
    flat, edge = LIMIT * _uniform(0.3, 0.9, generator), _edge(generator)
    return _with_full(flat + 5 * LIMIT * (_fractions() < edge).double())


def _bump(generator: torch.Generator) -> Tensor:
    """Too bad between two widths that are good."""
    top, edge, high = _uniform(0.6, 0.95, generator), _edge(generator), _uniform(1.05, 1.5, generator)
    is_bump_W = (_fractions() < top) & (_fractions() > top / 2)
    return _with_full(LIMIT * (0.2 + high * is_bump_W.double()) + 5 * LIMIT * (_fractions() < min(edge, top / 2)))


def _wavy(generator: torch.Generator) -> Tensor:
    phase, height = _uniform(0, 2 * math.pi, generator), LIMIT * _uniform(0.2, 0.8, generator)
    return _with_full(_smooth(generator) + height * (6 * _fractions().log2() + phase).sin())


def _better(generator: torch.Generator) -> Tensor:
    """Somewhat narrower is better than full."""
    dip_W = 0.8 * LIMIT * (-(((_fractions().log2() + 1.5) / 0.8) ** 2)).exp()
    return _with_full(_smooth(generator) - dip_W)


def _hard(generator: torch.Generator) -> Tensor:
    """Beyond the limit by a little at every width from some one on."""
    edge, over = _edge(generator), LIMIT * _uniform(1.001, 1.1, generator)
    return _with_full(torch.where(_fractions() >= edge, 0.3 * LIMIT, over))


SHAPES: Mapping[str, _Drops] = {
    "smooth": _smooth,
    "steep": _steep,
    "flat, just above the limit": _above,
    "flat, just below the limit": _below,
    "good, then just above the limit": _hard,
    "a bump": _bump,
    "wavy": _wavy,
    "narrower is better": _better,
}
"""True drops [W] of 1 to 256 units; full width drops by nothing."""


def find_smallest(drops_W: Tensor, units: list[int]) -> int:
    """Return the fewest of these units whose true drop keeps to the limit."""
    return min(unit for unit in units if float(drops_W[unit - 1]) <= LIMIT)


def draw_right(drops_W: Tensor, units: list[int], num_samples: int, generator: torch.Generator) -> Tensor:
    """Return whether each sample is right with so many units, [W, N]; accuracy and agreement are drawn too.

    Full accuracy is between 0.7 and 0.995. A width's outcomes are those of a normal variable that is correlated with
    another width's by exp(-(octaves between them / scale)^2), the scale between 6 and 24 octaves.
    """
    accuracy, scale = _uniform(0.7, 0.995, generator), 6 * 2 ** _uniform(0, 2, generator)
    octaves_W = torch.tensor(units, dtype=torch.float64).log2()
    shared_WW = (-(((octaves_W[:, None] - octaves_W) / scale) ** 2)).exp()
    # Widths that are near each other make it singular but for a little.
    root_WW = torch.linalg.cholesky(shared_WW + 1e-6 * torch.eye(len(units), dtype=torch.float64))
    values_WN = root_WW @ torch.randn(len(units), num_samples, generator=generator, dtype=torch.float64)
    share_W = (accuracy - drops_W[[unit - 1 for unit in units]]).clamp(0.05, 0.999)
    # The little that was added widens them.
    return values_WN / math.sqrt(1 + 1e-6) < torch.special.ndtri(share_W)[:, None]


def draw_losses(drops_W: Tensor, units: list[int], num_samples: int, generator: torch.Generator) -> Tensor:
    """Return a loss for each sample with so many units, [W, N]: no bounds, and tails that are long on the bad side.

    What a width adds to the loss is log-normal, its mean taken off and the true drop put in its place; its standard
    deviation is 5 to 15 times the limit.
    """
    spread = LIMIT * _uniform(5, 15, generator)
    full_N = torch.randn(num_samples, generator=generator, dtype=torch.float64).exp()
    rows = [full_N]
    for unit in units[1:]:
        tail_N = torch.randn(num_samples, generator=generator, dtype=torch.float64).exp()
        scale = math.sqrt((math.e - 1) * math.e)
        rows.append(full_N + drops_W[unit - 1] + spread * (tail_N - math.sqrt(math.e)) / scale)
    return torch.stack(rows)
