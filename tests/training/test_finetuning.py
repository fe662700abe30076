import copy
from pathlib import Path

import pytest
import torch
from torch import nn

from tests.conftest import RandomStateCheck
from tests.training.conftest import make_splits
from widthwise._shared import RecipeError, TrainingError
from widthwise.training import Recipe, Run, finetune, labelled_batches, train
from widthwise.training.optimiser import make_optimiser
from widthwise.zoo import DataSplits, TextSplits


@pytest.fixture
def run(tiny: Recipe, tmp_path: Path) -> Run:
    return train(tiny, tmp_path / "run", progress=False)


def extract(run: Run, width: float = 0.25) -> nn.Module:
    return run.load_model().extract(width)


def score(net: nn.Module) -> float:
    inputs, labels = make_splits().validation.tensors
    with torch.no_grad():
        return float((net(inputs).argmax(1) == labels).double().mean())


def disturb(net: nn.Module) -> nn.Module:
    """Leave the network something to learn."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.6 * torch.randn(parameter.shape, generator=generator))
    return net


def test_a_disturbed_network_learns_again(run: Run) -> None:
    net = disturb(extract(run))
    before = score(net)
    found = finetune(net, run, epochs=6)
    assert (found.before, found.after) == (before, score(net))
    assert found.after > before
    assert found.is_kept
    assert (found.epochs, found.name) == (6, "accuracy")
    assert not net.training


def test_the_same_again_is_bit_equal_and_leaves_the_random_state(
    run: Run, untouched_random_state: RandomStateCheck
) -> None:
    first = disturb(extract(run))
    second = copy.deepcopy(first)
    with untouched_random_state():
        finetune(first, run, epochs=2)
    finetune(second, run, epochs=2, splits=make_splits())
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


def test_what_got_no_better_is_undone(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    net = extract(run)
    before = copy.deepcopy(net.state_dict())

    def make_wild(net: nn.Module, settings: object) -> torch.optim.Optimizer:
        return torch.optim.SGD(net.parameters(), lr=3.0, maximize=True)

    monkeypatch.setattr("widthwise.training.finetuning.make_optimiser", make_wild)
    found = finetune(net, run, epochs=1)
    assert not found.is_kept
    assert found.after == found.before
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())


def test_the_rate_is_a_tenth_of_the_recipes_and_falls(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[torch.optim.Optimizer] = []
    rates: list[float] = []

    def remember(net: nn.Module, settings: object) -> torch.optim.Optimizer:
        made.append(make_optimiser(net, settings))  # type: ignore[arg-type]
        rates.append(made[0].param_groups[0]["lr"])
        return made[0]

    monkeypatch.setattr("widthwise.training.finetuning.make_optimiser", remember)
    finetune(extract(run), run, epochs=2)
    assert rates == [pytest.approx(0.1 * run.recipe.training.learning_rate)]
    assert made[0].param_groups[0]["lr"] < 1e-3 * rates[0]


def test_a_loss_that_is_not_finite_is_told_and_the_weights_stay(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    net = extract(run)
    before = copy.deepcopy(net.state_dict())
    monkeypatch.setattr(
        "widthwise.training.classification.Classification.loss",
        lambda _, net, __: net(torch.ones(1, 4)).sum() * torch.inf,
    )
    with pytest.raises(TrainingError) as caught:
        finetune(net, run, epochs=1)
    assert str(caught.value).startswith("expected finite losses and gradients in fine-tuning, got a loss of ")
    assert str(caught.value).endswith(" at step 1; leave it out, or take a wider network")
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())


def test_no_epoch_is_an_error(run: Run) -> None:
    with pytest.raises(RecipeError) as caught:
        finetune(extract(run), run, epochs=0)
    assert str(caught.value) == "expected at least 1 epoch of fine-tuning, got 0; leave it out for none"


def test_labelled_batches_are_the_training_split_and_a_text_has_none(clouds: DataSplits) -> None:
    batches = labelled_batches(clouds)
    assert torch.equal(torch.cat([labels for _, labels in batches]), clouds.train.tensors[1])
    text = torch.zeros(9, dtype=torch.int64)
    with pytest.raises(RecipeError) as caught:
        labelled_batches(TextSplits(name="tale", train=text, validation=text, test=text, vocabulary=("a",)))
    assert str(caught.value) == (
        "expected samples with labels to fit the head on, got the text 'tale'; leave out the refit"
    )
