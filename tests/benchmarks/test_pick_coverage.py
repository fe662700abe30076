import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from benchmarks.curve import coverage
from benchmarks.curve.choosers import Stored, choose_by_t_tests, choose_by_walk, choose_stored
from benchmarks.curve.numbers import describe_share, join_columns, percentile, split_numbers
from benchmarks.curve.synthetic import LIMIT, SHAPES, UNITS, draw_losses, draw_right, find_smallest
from tests.conftest import RandomStateCheck
from widthwise._shared import make_generator
from widthwise.curves.proof.promise import Promise

COUNT = 4000


@pytest.mark.parametrize("shape", SHAPES)
def test_a_curve_drops_by_nothing_at_full_width_and_too_much_somewhere(shape: str) -> None:
    for seed in range(10):
        drops_W = SHAPES[shape](make_generator(seed))
        assert drops_W.shape == (UNITS,)
        assert bool(torch.isfinite(drops_W).all())
        assert float(drops_W[-1]) == 0
        assert float(drops_W[:8].max()) > LIMIT


def test_a_bump_stands_between_widths_that_are_good() -> None:
    drops_W = SHAPES["a bump"](make_generator(0))
    smallest = find_smallest(drops_W, list(range(8, UNITS + 1)))
    assert bool((drops_W[smallest:] > LIMIT).any())
    assert find_smallest(drops_W, [UNITS]) == UNITS


@pytest.mark.parametrize("draw", [draw_right, draw_losses])
def test_outcomes_have_the_true_drops_in_the_mean(
    draw: Callable[..., Tensor], untouched_random_state: RandomStateCheck
) -> None:
    units = coverage.ladder_units()
    drops_W = SHAPES["smooth"](make_generator(0))
    with untouched_random_state():
        scores_WN = draw(drops_W, units, 40_000, make_generator(1)).double()
    sign = 1 if draw is draw_right else -1
    found_WN = sign * (scores_WN[0] - scores_WN)
    for found_N, unit in zip(found_WN[:8], units[:8], strict=True):
        error = 5 * float(found_N.std()) / math.sqrt(len(found_N)) + 1e-12
        assert float(found_N.mean()) == pytest.approx(float(drops_W[unit - 1]), abs=error)


def test_near_widths_agree_more_than_far_ones() -> None:
    right_WN = draw_right(torch.zeros(UNITS, dtype=torch.float64), [256, 128, 16], COUNT, make_generator(2))
    near, far = ((right_WN[0] != other_N).double().mean() for other_N in right_WN[1:])
    assert 0 < near < far


def test_each_way_of_choosing_does_what_its_name_says() -> None:
    drops_WN = torch.zeros(4, COUNT, dtype=torch.float64)
    drops_WN[1, : COUNT // 1000] = 1
    # Less than the limit in the mean, but not surely so.
    drops_WN[2, : COUNT // 120] = 1
    drops_WN[3, : COUNT // 10] = 1
    order_N = torch.randperm(COUNT, generator=make_generator(0))
    walked = choose_by_walk(Stored(1 - drops_WN, order_N), 4, Promise(max_drop=LIMIT, bounds=(0, 1)))
    assert walked.place == 1
    assert walked.num_samples < 3 * COUNT
    assert (choose_stored(drops_WN, LIMIT).place, choose_by_t_tests(drops_WN, LIMIT, 0.95).place) == (2, 1)
    assert choose_stored(drops_WN, LIMIT).num_samples == 4 * COUNT
    assert choose_by_t_tests(drops_WN[[0, 3]], LIMIT, 0.95).place == 0


def test_a_cell_holds_every_curve_and_every_way() -> None:
    result = coverage.measure("flat, just above the limit", 3, 2000)
    assert result == coverage.measure("flat, just above the limit", 3, 2000)
    assert split_numbers(str(result["smallest"])) == [256, 256, 256]
    choices = result["choices"]
    assert isinstance(choices, dict)
    assert choices["always full"] == {"picked": "256 256 256", "violated": "0 0 0", "num_samples": "0 0 0"}
    assert all(len(split_numbers(column)) == 3 for choice in choices.values() for column in choice.values())
    assert max(split_numbers(choices["pick"]["num_samples"])) <= 3 * 2000
    assert coverage.describe(result).startswith("broken: pick ")


def test_numbers_in_a_line_come_back() -> None:
    columns = join_columns([(64, 0, 1200), (45, 1, 30)])
    assert columns == {"picked": "64 45", "violated": "0 1", "num_samples": "1200 30"}
    assert split_numbers(columns["num_samples"]) == [1200, 30]
    assert (percentile([3, 1, 2], 0.5), percentile([3, 1, 2], 0.9), percentile([5], 0.9)) == (2, 3, 5)


def test_a_share_has_its_interval() -> None:
    # Wilson's interval of 5 in 100 and of none in 100.
    assert describe_share(5, 100) == "5.0 (2.2 to 11.2)"
    assert describe_share(0, 100) == "0.0 (0.0 to 3.7)"
