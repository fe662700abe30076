"""The capital of a gambler who bets that a mean is at most zero: evidence that may be looked at after every sample.

Each sample multiplies it by 1 - bet * number, the bet being fixed before the sample is seen. Where the mean is above
zero no such game can be won in expectation, so the probability that the capital, which begins at 1, ever reaches
1 / (1 - confidence) is at most 1 - confidence (Ville's inequality). Reaching it is the proof that the mean is at most
zero, and one may stop at once, or go on for as long as one likes.

For numbers of a known range this holds for any number of samples ([WSR24] I. Waudby-Smith, A. Ramdas, "Estimating means
of bounded random variables by betting", J. R. Stat. Soc. B 86, 2024). For others the bets are averaged as if sums were
normal, which they become ([WS+24] I. Waudby-Smith, D. Arbour, R. Sinha, E. H. Kennedy, A. Ramdas, "Time-uniform central
limit theory and asymptotic confidence sequences", Ann. Stat. 52, 2024).
"""

# K bets, N samples
import math

import torch
from torch import Tensor

__all__ = ["BOLDEST", "normal_capital", "place_bets", "settle_bets"]

BOLDEST = 0.9
"""The share of the capital that the worst sample may take; all of it would end the game."""


def place_bets(excess_N: Tensor, *, largest: float, hoped: float, horizon: int, confidence: float) -> Tensor:
    """Return three bets on each sample, [3, N], each made of the samples before it alone.

    The lowest reaches its goal soonest where that takes all samples: sqrt(2 log(1 / (1 - confidence)) / (horizon * mean
    square)), the bet of [WSR24] for a number of samples that is known. The highest makes the capital grow fastest where
    the mean is as far below zero as is hoped, hoped / mean square. The third is their geometric mean. Mean squares are
    taken as if one sample of the largest number had been seen.

    Args:
        excess_N: The numbers, float64.
        largest: No number can be above it.
        hoped: How far below zero the mean may well be.
        horizon: How many samples there are at most.
        confidence: Of the proof, in (0, 1).
    """
    boldest = BOLDEST / largest
    count_N = torch.arange(1, len(excess_N) + 1, dtype=torch.float64)
    squares_N = excess_N.square()
    mean_N = (squares_N.cumsum(dim=0) - squares_N + largest**2) / count_N
    low_N = (-2 * math.log1p(-confidence) / horizon / mean_N).sqrt().clamp(max=boldest)
    high_N = torch.maximum((hoped / mean_N).clamp(max=boldest), low_N)
    return torch.stack([low_N, (low_N * high_N).sqrt(), high_N])


def settle_bets(excess_N: Tensor, bets_KN: Tensor) -> Tensor:
    """Return the logarithm of the capital after each sample, [N], an equal part of it being put on each bet."""
    log_KN = torch.log1p(-bets_KN * excess_N).cumsum(dim=1)
    return log_KN.logsumexp(dim=0) - math.log(len(bets_KN))


def normal_capital(excess_N: Tensor, *, horizon: int, confidence: float, first: int) -> Tensor:
    """Return the logarithm of the capital after each sample, [N], bets averaged over a half-normal distribution.

    It is the one-sided form of [WS+24], with the mixture itself in place of its bound, and with the mean square about
    zero in place of the variance: at the border of what is to be proven the two are the same, and the mean square does
    not vanish where all numbers so far are equal.

    Args:
        excess_N: The numbers, float64.
        horizon: How many samples there are at most; there the bound is tightest.
        confidence: Of the proof, in (0, 1).
        first: The capital counts from this many samples on, since few are not normal yet.
    """
    count_N = torch.arange(1, len(excess_N) + 1, dtype=torch.float64)
    squares_N = excess_N.square().cumsum(dim=0)
    # Numbers that are all zero say nothing.
    root_N = squares_N.sqrt().clamp(min=torch.finfo(torch.float64).tiny)
    scaled_N = -excess_N.cumsum(dim=0) * count_N.sqrt() / root_N
    doubt = 2 * -math.log(min(2 * (1 - confidence), 0.5))
    spread = (doubt + math.log1p(doubt)) / horizon
    grown_N = spread * count_N + 1
    tilted_N = math.sqrt(spread) * scaled_N / grown_N.sqrt()
    log_N = math.log(2) - grown_N.log() / 2 + tilted_N.square() / 2 + torch.special.log_ndtr(tilted_N)
    return log_N.masked_fill(count_N < first, -math.inf)
