import math

import pytest
import torch

from tests.training.conftest import TINY
from widthwise._shared import RunError
from widthwise.training import Recipe, calibration_batches, make_score, parse_recipe
from widthwise.training.checkpoint import Checkpoint
from widthwise.training.session import Batch, Session
from widthwise.zoo import DataSplits


@pytest.fixture
def session(tiny: Recipe, clouds: DataSplits) -> Session:
    return Session.start(tiny, clouds)


def test_each_epoch_is_a_permutation_of_all_samples_in_even_batches(session: Session) -> None:
    batches = list(session.batches(0))
    assert session.steps_per_epoch == 5
    for epoch in range(1, 5):
        own = [batch for batch in batches if batch.epoch == epoch]
        assert sorted(torch.cat([batch.indices for batch in own]).tolist()) == list(range(150))
        assert {len(batch.indices) for batch in own} == {30}
        assert [batch.step for batch in own] == [1, 2, 3, 4, 5]
        assert [batch.is_last for batch in own] == [False, False, False, False, True]
    assert not torch.equal(batches[0].indices, batches[5].indices)


def test_batches_after_some_epochs_are_those_that_would_have_followed(session: Session) -> None:
    whole, rest = list(session.batches(0)), list(session.batches(3))
    assert len(rest) == 5
    for one, other in zip(whole[15:], rest, strict=True):
        assert torch.equal(one.indices, other.indices)


def test_a_step_changes_the_weights_and_returns_the_loss_before_it(session: Session) -> None:
    before = {name: tensor.clone() for name, tensor in session.model.state_dict().items()}
    loss = session.step(next(session.batches(0)))
    assert 0.5 < loss < 2.0
    assert any(not torch.equal(before[name], tensor) for name, tensor in session.model.state_dict().items())


def test_validation_scores_full_and_lowest_width_and_changes_nothing(session: Session) -> None:
    generator = session.model.generator.get_state()
    scores = session.validate()
    assert set(scores) == {"accuracy", "cross_entropy", "accuracy_lowest", "cross_entropy_lowest"}
    assert torch.equal(session.model.generator.get_state(), generator)


def test_losses_of_validation_are_those_of_the_network_at_either_width(session: Session, clouds: DataSplits) -> None:
    scores = session.validate()
    inputs, labels = clouds.validation.tensors
    for name, width in (("cross_entropy", 1.0), ("cross_entropy_lowest", 0.25)):
        with session.model.eval().at(width), torch.no_grad():
            expected = float(torch.nn.functional.cross_entropy(session.model(inputs), labels))
        assert scores[name] == pytest.approx(expected, rel=1e-5)


def test_patience_goes_by_the_score_alone(clouds: DataSplits) -> None:
    session = Session.start(parse_recipe(TINY, overrides=["patience=1"]), clouds)
    session.judge(1, {"accuracy": 0.5, "cross_entropy": 9.0, "accuracy_lowest": 0.25, "cross_entropy_lowest": 8.0})
    assert session.patience.best is not None
    assert session.patience.best.score == 0.375


def test_the_narrow_width_of_a_network_with_batch_norm_is_recalibrated(clouds: DataSplits) -> None:
    session = Session.start(parse_recipe(TINY, overrides=["model.settings.batch_norm=true"]), clouds)
    for batch in session.batches(0):
        session.step(batch)
    before = {name: tensor.clone() for name, tensor in session.model.state_dict().items()}
    scores = session.validate()
    assert all(torch.equal(before[name], tensor) for name, tensor in session.model.state_dict().items())
    score = make_score(clouds.validation)
    calibrated = session.model.extract(0.25, calibrate=calibration_batches(clouds, 0))
    assert scores["accuracy_lowest"] == score(calibrated)
    assert scores["accuracy_lowest"] != score(session.model.extract(0.25))


def test_gradients_are_clipped_where_the_recipe_asks_for_it(clouds: DataSplits) -> None:
    recipe = parse_recipe(
        TINY, overrides=["grad_clip=1e-4", "optimizer=sgd", "momentum=0.0", "learning_rate=1.0", "schedule=constant"]
    )
    session = Session.start(recipe, clouds)
    before = torch.cat([tensor.detach().flatten().clone() for tensor in session.model.parameters()])
    session.step(next(session.batches(0)))
    after = torch.cat([tensor.detach().flatten() for tensor in session.model.parameters()])
    assert float((after - before).norm()) == pytest.approx(1e-4, rel=1e-2)


def test_accumulated_batches_take_the_step_of_one_batch_of_all_their_samples(clouds: DataSplits) -> None:
    told = ["method=plain", "optimizer=sgd", "momentum=0.0", "schedule=constant"]
    parts = Session.start(parse_recipe(TINY, overrides=[*told, "accumulate=3"]), clouds)
    whole = Session.start(parse_recipe(TINY, overrides=[*told, "batch_size=90"]), clouds)
    batches = list(parts.batches(3))
    assert len(batches) == 5
    # Of five batches of thirty samples the last step has two.
    for group in (batches[:3], batches[3:]):
        for batch in group:
            parts.step(batch)
        indices = torch.cat([batch.indices for batch in group])
        whole.step(Batch(indices=indices, epoch=4, step=1, is_last=False))
        for one, other in zip(parts.model.net.parameters(), whole.model.net.parameters(), strict=True):
            torch.testing.assert_close(one, other, rtol=0, atol=1e-6)


def test_a_schedule_counts_the_steps_of_the_optimiser(clouds: DataSplits) -> None:
    session = Session.start(parse_recipe(TINY, overrides=["schedule=cosine", "accumulate=3"]), clouds)
    rates: list[float] = []
    for batch in session.batches(3):
        session.step(batch)
        rates.append(session.learning_rate)
    assert len(set(rates[:2])) == len(set(rates[2:4])) == 1
    assert rates[0] > rates[2] > rates[4]
    assert rates[4] == pytest.approx(0.025 * (1 + math.cos(math.pi * 2 / 8)), rel=1e-6)


def test_a_checkpoint_of_other_settings_is_one_line(session: Session) -> None:
    captured = session.capture()
    for state in ({}, {**captured.state, "optimiser": {"state": {}, "param_groups": []}}):
        with pytest.raises(
            RunError, match="checkpoint: expected the state of a training of recipe tiny, got another"
        ) as caught:
            session.restore(Checkpoint(weights=captured.weights, state=state))
        assert "\n" not in str(caught.value)


def test_convolutions_are_laid_out_channels_last_where_the_recipe_asks_for_it(clouds: DataSplits) -> None:
    text = TINY.replace('name = "mlp"', 'name = "resnet"').replace(
        "sizes = [4, 32, 32, 3]", "in_channels = 1\nnum_classes = 3\nwidths = [8]"
    )
    usual, last = (
        Session.start(parse_recipe(text, overrides=[f"channels_last={value}"]), clouds) for value in ("false", "true")
    )
    for session in (usual, last):
        batches = session.batches(0)
        for _ in range(3):
            session.step(next(batches))
    for (name, one), other in zip(usual.model.net.named_parameters(), last.model.net.parameters(), strict=True):
        torch.testing.assert_close(other, one, rtol=1e-4, atol=1e-5)
        if name.endswith("conv2.weight"):
            assert one.is_contiguous()
            assert other.is_contiguous(memory_format=torch.channels_last)
