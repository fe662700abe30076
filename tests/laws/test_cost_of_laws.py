"""What an epoch of a law costs, against an epoch of the plain network: multiplications of the shapes that are run."""

import math

import pytest
import torch

from widthwise.elastic.laws.law import Law
from widthwise.elastic.laws.named_laws import make_law

SIZES = {"fc1": 256, "fc2": 256}


def forward_macs(kept: dict[str, int]) -> int:
    """Of MLP 784-256-256-10, per sample."""
    return 784 * kept["fc1"] + kept["fc1"] * kept["fc2"] + kept["fc2"] * 10


def mean_cost(law: Law, num_draws: int = 4_000) -> tuple[float, float]:
    """The cost of an epoch, plain = 1, and the standard error of it."""
    generator = torch.Generator().manual_seed(0)
    drawn = [law.draw(SIZES, generator) for _ in range(num_draws)]
    costs = torch.tensor([sum(map(forward_macs, kept)) / law.chunks for kept in drawn], dtype=torch.float64)
    costs /= forward_macs(SIZES)
    return float(costs.mean()), float(costs.std()) / math.sqrt(num_draws)


@pytest.mark.parametrize(
    ("law", "cost"),
    [
        (Law(), 0.435),
        (Law(lowest=1 / 128), 0.385),
        (make_law("paper"), 0.44),
        (make_law("paper", p=0.75), 0.57),
        (make_law("paper", p=0.5), 0.7),
    ],
)
def test_an_epoch_costs_what_is_stated(law: Law, cost: float) -> None:
    mean, error = mean_cost(law)
    # Half of the last place that is stated.
    assert abs(mean - cost) <= 0.5 * 10.0 ** -len(str(cost).partition(".")[2]) + 5 * error


def test_the_default_law_spends_less_than_half_of_a_plain_epoch() -> None:
    mean, error = mean_cost(Law())
    assert mean + 5 * error < 0.5
