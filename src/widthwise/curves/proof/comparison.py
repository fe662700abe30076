"""One narrow network against the full one, sample by sample: is it proven within the limit, beyond it, or neither?"""

# N samples
import math
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from widthwise._shared import CurveError
from widthwise.curves.evidence import Verdict
from widthwise.curves.proof.capital import normal_capital, place_bets, settle_bets
from widthwise.curves.proof.promise import Promise

__all__ = ["Comparison"]

# Before this many samples no network is given up; then it is where twice the standard error would not save it.
_PATIENCE, _LUCK = 500, 2.0
# A bound is found to this share of its place.
_HALVINGS = 40


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Comparison:
    """The samples so far of one narrow network and of the full one.

    Attributes:
        drops: By how much each sample's score is worse than with the full network, float64 [N].
        units: What the limit is in units of, for each sample: 1, or the size of the full network's score where the
            limit is relative, [N].
        promise: The limit, and how sure one has to be.
        horizon: How many samples there are at most. It is fixed before the first of them is seen.
    """

    drops: Tensor
    units: Tensor
    promise: Promise
    horizon: int

    @property
    def drop(self) -> float:
        """The mean drop on these samples, relative where the limit is; 0 before the first one."""
        total = float(self.units.sum())
        return float(self.drops.sum()) / total if total else 0.0

    @property
    def verdict(self) -> Verdict:
        """What was proven at some sample so far; each of the two with the confidence that is asked for."""
        if self._most(self._capital()) >= self.promise.log_goal:
            return "within"
        return "beyond" if self._most(self._opposite_capital()) >= self.promise.log_goal else "undecided"

    def bound(self) -> float | None:
        """Return a bound on the true drop, relative where the limit is, that no sample so far speaks against.

        It holds at the confidence asked for, for this network taken alone. None where these samples give none; it is
        never below 0, though the network may be better than the full one.
        """
        low, high = 0.0, self.promise.limit
        furthest = self._furthest()
        while not self._proves(high):
            if high >= furthest:
                return None
            low, high = high, min(2 * high, furthest)
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            low, high = (low, middle) if self._proves(middle) else (middle, high)
        return high

    def has_hope(self, num_samples: int) -> bool:
        """Return whether "within" is still to be expected by so many samples in all, with a little luck.

        Luck is two standard errors in favour on those to come. Giving up early costs no confidence.
        """
        excess_N, count = self._excess(self.promise.limit), len(self.drops)
        if count < _PATIENCE:
            return True
        mean, square = float(excess_N.mean()), float(excess_N.square().mean())
        lucky = mean - _LUCK * math.sqrt(max(square - mean**2, 0.0) / count)
        mean_then = (count * mean + (num_samples - count) * lucky) / num_samples
        if mean_then >= 0:
            return False
        # What the best of all bets would have won.
        return num_samples * mean_then**2 / 2 >= self.promise.log_goal * square

    def _excess(self, limit: float) -> Tensor:
        return self.drops - limit * self.units

    def _bets(self, excess_N: Tensor) -> Tensor:
        promise = self.promise
        assert promise.spread is not None
        allowance = promise.limit * promise.unit
        return place_bets(
            excess_N,
            # The same for both sides: a drop is as large as the spread at most, and a gain too, beside the allowance.
            largest=promise.spread + allowance,
            hoped=allowance,
            horizon=self.horizon,
            confidence=promise.confidence,
        )

    def _capital(self, limit: float | None = None) -> Tensor:
        asked_N = self._excess(self.promise.limit)
        excess_N = asked_N if limit is None else self._excess(limit)
        if self.promise.spread is None:
            return self._normal(excess_N)
        # Whatever limit is tried, the bets are those of the one that is asked for: so the capital rises with the limit,
        # and the bound says what the verdict does.
        return settle_bets(excess_N, self._bets(asked_N))

    def _opposite_capital(self) -> Tensor:
        excess_N = -self._excess(self.promise.limit)
        return self._normal(excess_N) if self.promise.spread is None else settle_bets(excess_N, self._bets(excess_N))

    def _normal(self, excess_N: Tensor) -> Tensor:
        first = self.promise.first_look(self.horizon)
        return normal_capital(excess_N, horizon=self.horizon, confidence=self.promise.confidence, first=first)

    def _proves(self, limit: float) -> bool:
        return self._most(self._capital(limit)) >= self.promise.log_goal

    def _furthest(self) -> float:
        if self.promise.spread is not None and not self.promise.is_relative:
            return self.promise.spread
        # Far enough that only too few samples, or units of zero, are left as a reason for having no bound.
        return 1024 * max(self.promise.limit, abs(self.drop))

    @staticmethod
    def _most(log_capital_N: Tensor) -> float:
        return float(log_capital_N.max()) if len(log_capital_N) else -math.inf

    @staticmethod
    def of(full_N: Tensor, narrow_N: Tensor, promise: Promise, *, higher_is_better: bool, horizon: int) -> "Comparison":
        """Return the comparison of the scores of two networks on the same samples.

        Raises:
            CurveError: Where the limit is relative to scores of both signs.
        """
        if promise.is_relative and bool((full_N < 0).any()) and bool((full_N > 0).any()):
            raise CurveError(
                f"expected scores of one sign for the relative max_drop={promise.max_drop!r}, got some above 0 and "
                "some below; give max_drop in the unit of the score"
            )
        drop_N = full_N - narrow_N if higher_is_better else narrow_N - full_N
        unit_N = full_N.abs() if promise.is_relative else torch.ones_like(full_N)
        return Comparison(drops=drop_N, units=unit_N, promise=promise, horizon=horizon)
