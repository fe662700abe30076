"""The score of the recipes, accuracy, and the samples that BatchNorm is recalibrated on."""

# B batch
import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from widthwise._shared import RecipeError, make_generator
from widthwise.curves import Score
from widthwise.training.device import device_of
from widthwise.training.stream import Stream
from widthwise.zoo import DataSplits, TextSplits

__all__ = ["calibration_batches", "classify", "is_right", "labelled_batches", "make_score"]

_SCORE_BATCH = 1000
_CALIBRATION_BATCH, _CALIBRATION_SAMPLES = 256, 2048


def make_score(samples: TensorDataset, name: str = "accuracy") -> Score[tuple[Tensor, Tensor]]:
    """Return the score of a classifier on `samples`: the share of them whose largest output is their label."""
    inputs, labels = samples.tensors
    batches = list(zip(inputs.split(_SCORE_BATCH), labels.split(_SCORE_BATCH), strict=True))
    return Score(is_right, batches, name=name)


def is_right(net: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    """Return for each sample of the batch whether the largest output is its label, a boolean tensor [B]."""
    logits, labels = classify(net, batch)
    return logits.argmax(dim=1) == labels


def classify(net: nn.Module, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Return the outputs of a classifier on a batch, and the labels, where the network is."""
    device = device_of(net)
    inputs, labels = (part.to(device) for part in batch)
    return net(inputs), labels


def calibration_batches(splits: DataSplits, seed: int) -> list[Tensor]:
    """Return 2,048 training samples drawn from `seed` (all of them where there are fewer), as batches of inputs."""
    inputs = splits.train.tensors[0]
    order = torch.randperm(len(inputs), generator=make_generator(seed, Stream.CALIBRATION))
    return list(inputs[order[:_CALIBRATION_SAMPLES]].split(_CALIBRATION_BATCH))


def labelled_batches(splits: DataSplits | TextSplits) -> list[tuple[Tensor, Tensor]]:
    """Return the training split as batches of inputs and class labels, on which a head can be fitted again.

    Raises:
        RecipeError: The data is a text, which has no labels.
    """
    if isinstance(splits, TextSplits):
        raise RecipeError(
            f"expected samples with labels to fit the head on, got the text '{splits.name}'; leave out the refit"
        )
    inputs, labels = splits.train.tensors
    return list(zip(inputs.split(_SCORE_BATCH), labels.split(_SCORE_BATCH), strict=True))
