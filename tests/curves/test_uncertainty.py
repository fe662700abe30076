import math

import pytest
import torch

from widthwise.curves.uncertainty import half_band, standard_error


def test_the_error_of_a_share_is_that_of_the_binomial() -> None:
    num, right = 1000, 900
    samples = torch.cat([torch.ones(right), torch.zeros(num - right)]).double()
    # The sample variance divides by n - 1.
    assert standard_error(samples) == pytest.approx(math.sqrt(0.9 * 0.1 / (num - 1)), rel=1e-12)


def test_the_band_holds_the_mean_nineteen_times_in_twenty() -> None:
    generator = torch.Generator().manual_seed(0)
    num_trials, num_samples, probability = 2000, 400, 0.8
    draws = (torch.rand(num_trials, num_samples, generator=generator) < probability).double()
    held = sum(abs(float(row.mean()) - probability) <= half_band(standard_error(row)) for row in draws) / num_trials
    # The normal band of a share covers a little less than it says; five standard errors of the trials on top.
    assert abs(held - 0.95) < 0.01 + 5 * math.sqrt(0.95 * 0.05 / num_trials)


def test_one_sample_tells_no_error() -> None:
    assert standard_error(torch.ones(1)) is None
    assert half_band(None) == 0.0
    assert half_band(0.5) == 0.98
