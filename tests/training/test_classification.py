import pytest
import torch
from torch import nn

from tests.training.conftest import TINY, make_splits
from widthwise.training import build_network, build_task, calibration_batches, make_score, parse_recipe
from widthwise.training.batch import Batch
from widthwise.training.classification import Classification


@pytest.fixture
def task() -> Classification:
    return Classification(parse_recipe(TINY), make_splits())


def test_data_of_samples_is_classified(task: Classification) -> None:
    recipe = parse_recipe(TINY)
    assert isinstance(build_task(recipe, make_splits(), build_network(recipe)), Classification)


def test_an_epoch_is_a_permutation_in_even_batches(task: Classification) -> None:
    parts = task.order(torch.Generator().manual_seed(0))
    assert len(parts) == task.num_batches == 5
    assert sorted(torch.cat(list(parts)).tolist()) == list(range(150))
    assert {len(part) for part in parts} == {30}


def test_the_loss_is_the_cross_entropy_of_the_chosen_samples(task: Classification) -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
    chosen = torch.tensor([3, 1, 140])
    inputs, labels = make_splits().train[chosen]
    found = task.loss(net, Batch(indices=chosen, epoch=1, step=1, is_last=False))
    torch.testing.assert_close(found, nn.functional.cross_entropy(net(inputs), labels))


def test_scores_and_calibration_are_those_of_the_splits(task: Classification) -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
    splits = make_splits()
    for name, split, data in (("accuracy", "validation", splits.validation), ("test_accuracy", "test", splits.test)):
        score = task.score(split)
        assert (score.name, score.higher_is_better) == (name, True)
        assert score(net) == make_score(data)(net)
    for one, other in zip(task.calibration_batches(), calibration_batches(splits, 0), strict=True):
        assert torch.equal(one, other)


def test_a_file_is_compared_on_validation_inputs_together_and_one_alone(task: Classification) -> None:
    together, alone = task.compared_inputs()
    assert torch.equal(together.args[0], make_splits().validation.tensors[0])
    assert torch.equal(alone.args[0], together.args[0][:1])
