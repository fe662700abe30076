"""Stopping early: the best epoch so far by the validation score, its weights, and when to wait no longer."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast, final

from torch import Tensor

__all__ = ["Best", "Patience"]


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Best:
    """An epoch, its score (the mean of those at full and at narrowest width), and its tensors, copied."""

    epoch: int
    score: float
    weights: Mapping[str, Tensor]
    elastic: Mapping[str, Tensor]


@final
class Patience:
    """How long a training goes on without getting better.

    Args:
        limit: The epochs to wait for a better one; None waits for ever, and remembers nothing.
        higher_is_better: Which way scores go.

    Attributes:
        best: The best epoch so far, the first of equals; None before there is one.
    """

    def __init__(self, limit: int | None, *, higher_is_better: bool) -> None:
        self._limit = limit
        self._sign = 1.0 if higher_is_better else -1.0
        self.best: Best | None = None

    def see(
        self, epoch: int, scores: Mapping[str, float], weights: Mapping[str, Tensor], elastic: Mapping[str, Tensor]
    ) -> None:
        """Remember the epoch where none was better.

        Args:
            epoch: Its number.
            scores: On the validation split: at full width, and at the narrowest where widths are trained.
            weights: Of the network.
            elastic: Other tensors of the model.
        """
        score = sum(scores.values()) / len(scores)
        if self._limit is None or (self.best is not None and self._sign * score <= self._sign * self.best.score):
            return
        self.best = Best(epoch=epoch, score=score, weights=_copy(weights), elastic=_copy(elastic))

    def is_over(self, epoch: int) -> bool:
        """Return whether nothing follows the epoch: the best one is too long ago."""
        return self._limit is not None and self.best is not None and epoch - self.best.epoch >= self._limit

    def state(self) -> dict[str, object]:
        """Return what `load_state` needs to go on from here."""
        if self.best is None:
            return {}
        return {name: getattr(self.best, name) for name in ("epoch", "score", "weights", "elastic")}

    def load_state(self, state: Mapping[str, object]) -> None:
        """Remember what `state` told."""
        self.best = None
        if state:
            self.best = Best(
                epoch=cast("int", state["epoch"]),
                score=cast("float", state["score"]),
                weights=cast("dict[str, Tensor]", state["weights"]),
                elastic=cast("dict[str, Tensor]", state["elastic"]),
            )


def _copy(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in tensors.items()}
