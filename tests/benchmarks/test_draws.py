import math
from statistics import fmean

import pytest
import torch
from torch import nn

from benchmarks.speed.draws import find_even_seeds, mean_macs
from tests.conftest import RandomStateCheck
from widthwise import Elastic, Law
from widthwise.elastic import make_law

UNITS = 10**5
# The mean of f^2 where ln f is uniform in [ln 1/32, 0].
BETWEEN = (1 - 2**-10) / (2 * math.log(32))
MEANS = {"log_uniform": (1 + 3 * BETWEEN) / 4, "octaves": (fmean(4.0**-i for i in range(6)) + BETWEEN) / 2}


def works(law: Law, seeds: list[int]) -> list[float]:
    steps = [law.draw({"units": UNITS}, torch.Generator().manual_seed(seed)) for seed in seeds]
    return [fmean((draw["units"] / UNITS) ** 2 for draw in step) for step in steps]


@pytest.mark.parametrize("name", MEANS)
def test_few_draws_have_the_mean_of_the_law(name: str, untouched_random_state: RandomStateCheck) -> None:
    law = make_law(name)
    with untouched_random_state():
        seeds = find_even_seeds(law, 24)
    found = works(law, seeds)
    assert sorted(set(seeds)) == sorted(seeds)
    assert sorted(found) == found
    # Five standard errors of the 4096 draws among which these are: of one draw, at most 1.3 of the mean.
    assert fmean(found) == pytest.approx(MEANS[name], rel=5 * 1.3 / math.sqrt(4096))
    assert find_even_seeds(law, 24) == seeds


def test_each_level_of_a_law_has_its_share() -> None:
    law = make_law("octaves", between=0.0)
    assert works(law, find_even_seeds(law, 12)) == pytest.approx([4.0 ** -(5 - i // 2) for i in range(12)], rel=1e-3)


@pytest.mark.parametrize("name", MEANS)
def test_the_work_is_that_of_the_widths_that_run(name: str) -> None:
    net = nn.Sequential(nn.Linear(8, 48), nn.ReLU(), nn.Linear(48, 48), nn.ReLU(), nn.Linear(48, 3))
    generator = torch.Generator()
    model = Elastic(net, (torch.zeros(2, 8),), law=name, generator=generator).train()
    seeds, ran = [3, 1, 4], list[float]()
    for seed in seeds:
        generator.manual_seed(seed)
        model(torch.zeros(8, 8))
        ran.append(fmean(model.macs(dict(widths)) for widths in model.last_widths))
    assert mean_macs(model, seeds) == pytest.approx(fmean(ran), rel=1e-12)
