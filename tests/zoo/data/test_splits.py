import dataclasses

import pytest
import torch
from torch.utils.data import TensorDataset

from widthwise.zoo.data import DataSplits, TextSplits


def test_splits_cannot_be_changed() -> None:
    split = TensorDataset(torch.zeros(1, 2), torch.zeros(1))
    splits = DataSplits(name="x", train=split, validation=split, test=split, num_classes=1, input_shape=(2,))
    with pytest.raises(dataclasses.FrozenInstanceError):
        splits.name = "y"  # pyright: ignore[reportAttributeAccessIssue]
    assert splits.name == "x"


def test_both_kinds_of_splits_say_what_is_learned_and_how_many_answers_there_are() -> None:
    split = TensorDataset(torch.zeros(1, 2), torch.zeros(1))
    samples = DataSplits(name="x", train=split, validation=split, test=split, num_classes=4, input_shape=(2,))
    tokens = torch.tensor([0, 1])
    text = TextSplits(name="y", train=tokens, validation=tokens, test=tokens, vocabulary=("a", "b", "c"))
    assert [(splits.task, splits.num_classes) for splits in (samples, text)] == [("classification", 4), ("language", 3)]
    with pytest.raises(dataclasses.FrozenInstanceError):
        text.name = "z"  # pyright: ignore[reportAttributeAccessIssue]
