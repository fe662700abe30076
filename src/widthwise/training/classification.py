"""Classification: of pictures, or of clouds of points."""

# B batch
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import final

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from widthwise.curves import Score
from widthwise.elastic.objective import Criterion
from widthwise.graph import Example
from widthwise.training.accuracy import calibration_batches, classify, make_score
from widthwise.training.batch import Batch
from widthwise.training.device import device_of
from widthwise.training.recipe import Recipe
from widthwise.training.task import SplitName, Task, take_loss
from widthwise.zoo import DataSplits

__all__ = ["Classification"]

_NUM_COMPARED = 256


@final
class Classification(Task):
    """Labels learned by cross entropy, scored by accuracy.

    Args:
        recipe: What is trained.
        splits: Its data.
    """

    score_name = "accuracy"

    def __init__(self, recipe: Recipe, splits: DataSplits) -> None:
        self._splits = splits
        self._batch_size = recipe.training.batch_size
        self._seed = recipe.training.seed

    @property
    def num_batches(self) -> int:
        """Number of batches in an epoch."""
        return math.ceil(len(self._splits.train) / self._batch_size)

    def order(self, generator: torch.Generator) -> Sequence[Tensor]:
        """Return a permutation of all training samples, cut into batches whose sizes differ by one at most.

        A small last batch would give BatchNorm, and the strata of the law, too little to stand on.
        """
        return torch.randperm(len(self._splits.train), generator=generator).tensor_split(self.num_batches)

    def loss(self, net: nn.Module, batch: Batch) -> Tensor:
        """Return the cross entropy of a batch."""
        return take_loss(net, self._samples(net, batch), cross_entropy)

    def last_call(self, net: nn.Module, batch: Batch) -> tuple[object, Criterion]:
        """Return the samples of the batch and the cross entropy."""
        return self._samples(net, batch), cross_entropy

    def score(self, split: SplitName = "validation") -> Score[tuple[Tensor, Tensor]]:
        """Return the accuracy on a split."""
        if split == "test":
            return make_score(self._splits.test, f"test_{self.score_name}")
        return make_score(self._splits.validation, self.score_name)

    def validate(self, net: nn.Module) -> dict[str, float]:
        """Return the accuracy of a network on the validation split, and the cross entropy of the same outputs."""
        score, losses = self.score(), list[float]()

        def per_sample(net: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
            logits, labels = classify(net, batch)
            losses.append(float(cross_entropy(logits, labels, reduction="sum")))
            return logits.argmax(dim=1) == labels

        accuracy = replace(score, per_sample=per_sample)(net)
        return {score.name: accuracy, "cross_entropy": sum(losses) / len(self._splits.validation)}

    def calibration_batches(self) -> list[Tensor]:
        """Return 2,048 training samples, as batches of inputs."""
        return calibration_batches(self._splits, self._seed)

    def compared_inputs(self) -> list[Example]:
        """Return 256 inputs of the validation split, and the first of them alone."""
        inputs = self._splits.validation.tensors[0][:_NUM_COMPARED]
        return [Example(args=(part,), kwargs={}) for part in (inputs, inputs[:1])]

    def _samples(self, net: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
        inputs, labels = (tensor[batch.indices].to(device_of(net)) for tensor in self._splits.train.tensors)
        return inputs, labels
