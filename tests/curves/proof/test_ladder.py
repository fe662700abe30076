from itertools import pairwise

import pytest

from tests.curves.stand_in import StandIn
from widthwise._shared import CurveError
from widthwise.curves.proof.ladder import make_ladder, quarter_octaves


@pytest.mark.parametrize("lowest", [1 / 32, 0.3, 0.9, 2**-0.25])
def test_quarter_octaves_end_at_the_lowest(lowest: float) -> None:
    fractions = [1.0, *quarter_octaves(lowest)]
    assert fractions[-1] == pytest.approx(lowest)
    steps = [before / after for before, after in pairwise(fractions)]
    assert steps[:-1] == pytest.approx([2**0.25] * (len(steps) - 1))
    assert 1 < steps[-1] <= 2**0.25 + 1e-12


def test_the_ladder_goes_down_from_full_width(model: StandIn) -> None:
    ladder = make_ladder(model, None)
    assert ladder[0].width == 1.0
    assert ladder[-1].width == model.law.lowest
    macs = [model.macs(rung.widths) for rung in ladder]
    assert macs == sorted(set(macs), reverse=True)


def test_given_widths_are_put_in_order_each_once(model: StandIn) -> None:
    ladder = make_ladder(model, [0.25, {"fc1": 8}, 0.5, 1.0, {"fc1": 16, "fc2": 8}])
    assert [(rung.width, rung.widths) for rung in ladder] == [
        (1.0, {"fc1": 32, "fc2": 16}),
        (0.5, {"fc1": 16, "fc2": 8}),
        (None, {"fc1": 8, "fc2": 16}),
        (0.25, {"fc1": 8, "fc2": 4}),
    ]


def test_full_width_alone_is_no_choice(model: StandIn) -> None:
    with pytest.raises(CurveError) as caught:
        make_ladder(model, [1.0])
    assert str(caught.value) == (
        "expected widths to choose from beside full width, got none; give some, or None for a ladder"
    )
