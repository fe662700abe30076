import dataclasses

import pytest
import torch
from torch.utils.data import TensorDataset

from widthwise.zoo import DataSplits


def test_splits_cannot_be_changed() -> None:
    split = TensorDataset(torch.zeros(1, 2), torch.zeros(1))
    splits = DataSplits(name="x", train=split, validation=split, test=split, num_classes=1, input_shape=(2,))
    with pytest.raises(dataclasses.FrozenInstanceError):
        splits.name = "y"  # pyright: ignore[reportAttributeAccessIssue]
    assert splits.name == "x"
