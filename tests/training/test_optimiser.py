import math

import pytest
import torch
from torch import nn
from torch.optim import SGD, Adam, AdamW

from widthwise.training.optimiser import make_optimiser, make_schedule
from widthwise.training.recipe import TrainingSection


def settings(**changes: object) -> TrainingSection:
    return TrainingSection.model_validate({"epochs": 1, "learning_rate": 0.1, **changes})


def rates(training: TrainingSection, num_steps: int) -> list[float]:
    optimiser = make_optimiser(nn.Linear(2, 2), training)
    schedule = make_schedule(optimiser, training, num_steps)
    found: list[float] = []
    for _ in range(num_steps):
        found.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        schedule.step()
    return found


def test_adam_adamw_and_sgd_are_those_of_torch_with_the_settings() -> None:
    adam = make_optimiser(nn.Linear(2, 2), settings(weight_decay=0.01))
    assert isinstance(adam, Adam)
    assert (adam.defaults["lr"], adam.defaults["weight_decay"]) == (0.1, 0.01)
    decoupled = make_optimiser(nn.Linear(2, 2), settings(optimizer="adamw", weight_decay=0.05))
    assert isinstance(decoupled, AdamW)
    assert (decoupled.defaults["lr"], decoupled.defaults["weight_decay"]) == (0.1, 0.05)
    sgd = make_optimiser(nn.Linear(2, 2), settings(optimizer="sgd"))
    assert isinstance(sgd, SGD)
    assert sgd.defaults["momentum"] == 0.9
    assert make_optimiser(nn.Linear(2, 2), settings(optimizer="sgd", momentum=0.5)).defaults["momentum"] == 0.5


def test_parameters_that_want_no_gradient_are_left_out() -> None:
    net = nn.Linear(2, 2)
    net.bias.requires_grad_(False)
    assert [id(p) for p in make_optimiser(net, settings()).param_groups[0]["params"]] == [id(net.weight)]


def test_one_cycle_rises_to_the_learning_rate_and_falls_to_nothing() -> None:
    found = rates(settings(), 100)
    peak = max(range(100), key=lambda step: found[step])
    assert found[peak] == pytest.approx(0.1, rel=1e-3)
    assert found[:peak] == sorted(found[:peak])
    assert found[peak:] == sorted(found[peak:], reverse=True)
    assert found[-1] < 1e-5


def test_cosine_is_its_formula() -> None:
    expected = [0.05 * (1 + math.cos(math.pi * step / 50)) for step in range(50)]
    assert rates(settings(schedule="cosine"), 50) == pytest.approx(expected, rel=1e-9)


def test_constant_stays() -> None:
    assert set(rates(settings(schedule="constant"), 20)) == {0.1}


def test_a_warm_up_rises_evenly_and_then_is_the_schedule() -> None:
    rise = [0.1 * (step + 1) / 11 for step in range(10)]
    assert rates(settings(schedule="constant", warmup=0.1), 100) == pytest.approx([*rise, *[0.1] * 90], rel=1e-9)
    fall = [0.05 * (1 + math.cos(math.pi * step / 90)) for step in range(90)]
    assert rates(settings(schedule="cosine", warmup=0.1), 100) == pytest.approx([*rise, *fall], rel=1e-9)


def test_a_warm_up_is_the_share_of_the_rise_in_one_cycle() -> None:
    found = rates(settings(warmup=0.1), 100)
    assert max(range(100), key=lambda step: found[step]) == 9
    assert rates(settings(warmup=0.3), 100) == rates(settings(), 100)


@pytest.mark.parametrize("num_steps", [1, 2, 3, 10])
@pytest.mark.parametrize("warmup", [None, 0.1, 0.5, 0.9])
@pytest.mark.parametrize("schedule", ["one_cycle", "cosine", "constant"])
def test_a_training_of_a_few_steps_has_finite_rates(schedule: str, warmup: float | None, num_steps: int) -> None:
    assert all(0 <= rate <= 0.1 for rate in rates(settings(schedule=schedule, warmup=warmup), num_steps))


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
def test_one_cycle_leaves_momentum_as_the_optimiser_has_it(optimizer: str) -> None:
    training = settings(optimizer=optimizer)
    net = nn.Linear(2, 2)
    optimiser = make_optimiser(net, training)
    schedule = make_schedule(optimiser, training, 10)
    before = {key: value for key, value in optimiser.param_groups[0].items() if key in {"betas", "momentum"}}
    for _ in range(5):
        net(torch.ones(1, 2)).sum().backward()
        optimiser.step()
        schedule.step()
    assert before == {key: optimiser.param_groups[0][key] for key in before}
