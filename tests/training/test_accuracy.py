from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

from tests.training.conftest import make_splits
from widthwise.training import calibration_batches, is_right, make_score


def test_the_score_is_the_share_of_largest_outputs_at_the_label() -> None:
    outputs = torch.tensor([[2.0, 1.0], [0.0, 3.0], [1.0, 0.0]])
    labels = torch.tensor([0, 1, 1])
    assert is_right(nn.Identity(), (outputs, labels)).tolist() == [True, True, False]
    assert make_score(TensorDataset(outputs, labels))(nn.Identity()) == pytest.approx(2 / 3, abs=1e-12)


def test_every_sample_counts_once_over_several_batches() -> None:
    labels = torch.arange(2500) % 2
    outputs = nn.functional.one_hot(labels, 2).float()
    outputs[2400:] = outputs[2400:].flip(1)
    score = make_score(TensorDataset(outputs, labels), "test_accuracy")
    assert score.name == "test_accuracy"
    assert score(nn.Identity()) == pytest.approx(0.96, abs=1e-12)


def test_calibration_draws_training_samples_once_each_by_the_seed() -> None:
    splits = make_splits()
    one = torch.cat(calibration_batches(splits, 0))
    assert sorted(map(tuple, one.flatten(1).tolist())) == sorted(
        map(tuple, splits.train.tensors[0].flatten(1).tolist())
    )
    assert torch.equal(one, torch.cat(calibration_batches(splits, 0)))
    assert not torch.equal(one, torch.cat(calibration_batches(splits, 1)))


def test_calibration_takes_2048_samples_of_many() -> None:
    splits = make_splits()
    many = TensorDataset(torch.zeros(3000, 1), torch.zeros(3000))
    batches = calibration_batches(replace(splits, train=many), 0)
    assert [len(batch) for batch in batches] == [256] * 8
