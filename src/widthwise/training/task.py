"""What is learned from a data set: how batches are formed, their loss, and the score of a network."""

# B batch
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import ClassVar, Literal, TypeVar

import torch
from torch import Tensor, nn

from widthwise.curves import Score
from widthwise.elastic import Elastic
from widthwise.elastic.objective import Criterion
from widthwise.graph import Example
from widthwise.training.batch import Batch

__all__ = ["SplitName", "Task", "take_loss"]

SplitName = Literal["validation", "test"]
_Outputs = TypeVar("_Outputs")


class Task(ABC):
    """What is learned from the splits of a data set, by a network of one kind.

    A state that goes from batch to batch is the task's: it begins anew with the first step of each epoch.

    Attributes:
        score_name: The name of the score on the validation split.
    """

    score_name: ClassVar[str]

    @property
    @abstractmethod
    def num_batches(self) -> int:
        """Number of batches in an epoch."""

    @abstractmethod
    def order(self, generator: torch.Generator) -> Sequence[Tensor]:
        """Return the places of the samples of each batch of one epoch: `num_batches` tensors of integers [B]."""

    @abstractmethod
    def loss(self, net: nn.Module, batch: Batch) -> Tensor:
        """Return the loss of an elastic or a plain network on a batch of the training split, a number."""

    @abstractmethod
    def last_call(self, net: nn.Module, batch: Batch) -> tuple[object, Criterion]:
        """Return (inputs, targets) and the criterion of the last call of `loss`, which was with this batch."""

    @abstractmethod
    def score(self, split: SplitName = "validation") -> Score[tuple[Tensor, Tensor]]:
        """Return the score of networks on a split; on the test split its name begins with "test_"."""

    def validate(self, net: nn.Module) -> dict[str, float]:
        """Return the score of a network on the validation split, and its loss where that is another number."""
        score = self.score()
        return {score.name: score(net)}

    @abstractmethod
    def calibration_batches(self) -> list[Tensor] | list[tuple[Tensor, ...]]:
        """Return inputs of 2,048 training samples, on which BatchNorm statistics are measured again."""

    @abstractmethod
    def compared_inputs(self) -> list[Example]:
        """Return inputs of the validation split on which an exported file is compared: some together, and one alone."""


def take_loss(
    net: nn.Module,
    batch: tuple[Tensor | tuple[Tensor | tuple[Tensor, Tensor], ...], Tensor],
    criterion: Callable[[_Outputs, Tensor], Tensor],
) -> Tensor:
    """Return the loss of a batch (inputs, targets), of an elastic model at drawn widths, or of a plain network."""
    if isinstance(net, Elastic):
        return net.loss(batch, criterion)
    inputs, targets = batch
    return criterion(net(*inputs) if isinstance(inputs, tuple) else net(inputs), targets)
