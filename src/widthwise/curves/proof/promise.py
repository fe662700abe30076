"""What a choice by evidence promises: a drop that is not exceeded, and how sure that is."""

import math
from dataclasses import dataclass
from typing import final

from widthwise._shared import CurveError, NoPointError
from widthwise.curves.evidence import Guarantee
from widthwise.curves.pick import parse_drop
from widthwise.curves.proof.capital import BOLDEST

__all__ = ["Promise"]

# Sums of fewer numbers are far from normal.
_FEW = 200


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Promise:
    """The true score of what is picked is at most `max_drop` worse than that of the full network, at this confidence.

    Attributes:
        max_drop: In the unit of the score, or relative to the full network's as in "1%".
        confidence: In (0, 1); the promise is broken with probability 1 - confidence at most.
        bounds: Between which every sample's score lies; None where that is not known.

    Raises:
        CurveError: Where one of them makes no sense.
    """

    max_drop: float | str
    confidence: float = 0.95
    bounds: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be promised."""
        confidence: object = self.confidence
        if isinstance(confidence, bool) or not isinstance(confidence, int | float) or not 0 < confidence < 1:
            raise CurveError(
                f"expected confidence to lie between 0 and 1, got {confidence!r}; give a share such as 0.95"
            )
        if self.bounds is not None and not -math.inf < self.bounds[0] < self.bounds[1] < math.inf:
            raise CurveError(
                f"expected bounds to be the least and the greatest score of a sample, got {self.bounds}; "
                "give two numbers such as (0, 1), or None where they are not known"
            )
        parse_drop(self.max_drop)
        if self.limit == 0:
            raise NoPointError(
                "expected a max_drop above 0, got 0: no number of samples proves that two networks are equally good; "
                'allow a little, such as 0.005 or "0.5%"'
            )
        if self.spread is not None and self.limit * self.unit >= self.spread:
            raise CurveError(
                f"expected max_drop to be below what a score between {self.bounds[0]:g} and {self.bounds[1]:g} "  # pyright: ignore[reportOptionalSubscript]
                f"can drop at all, got {self.max_drop}; one point of accuracy is 0.01"
            )

    @property
    def limit(self) -> float:
        """The number in `max_drop`, a share where it is relative."""
        return parse_drop(self.max_drop)[0]

    @property
    def is_relative(self) -> bool:
        """Whether `max_drop` is relative to the score of the full network."""
        return parse_drop(self.max_drop)[1]

    @property
    def spread(self) -> float | None:
        """The most by which one sample's score can drop; None where that is not known."""
        return None if self.bounds is None else float(self.bounds[1] - self.bounds[0])

    @property
    def unit(self) -> float:
        """What one sample's allowance is at most, in units of `limit`, where the score has bounds; else 1."""
        return max(map(abs, self.bounds)) if self.is_relative and self.bounds is not None else 1.0

    @property
    def guarantee(self) -> Guarantee:
        """For which numbers of samples the confidence holds."""
        return "many samples" if self.bounds is None else "any sample size"

    @property
    def log_goal(self) -> float:
        """The logarithm of the capital that is proof."""
        return -math.log1p(-self.confidence)

    def first_look(self, horizon: int) -> int:
        """Return the least number of samples that anything is concluded from, where the score has no bounds."""
        return max(_FEW, horizon // 20)

    def least_samples(self) -> int:
        """Return the number of samples that it takes at least, with a network that is as good on each of them."""
        if self.spread is None:
            return _FEW
        allowance = self.limit * self.unit
        return math.ceil(self.log_goal / math.log1p(BOLDEST * allowance / (self.spread + allowance)))
