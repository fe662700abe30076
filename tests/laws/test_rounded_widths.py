"""round_to: fractions leave multiples, in training, on the curve and in what is taken home alike."""

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from tests.networks import make_generator
from widthwise._shared import WidthError
from widthwise.curves import curve
from widthwise.elastic import Elastic, Law
from widthwise.groups import units

X = torch.zeros(2, 4, 6, 6)
DECLARED = [{"a.weight": "n _ _ _", "a.bias": "n", "b.weight": "_ n _ _"}, {"b.weight": "n _ _ _", "b.bias": "n"}]


class Convolutions(nn.Module):
    """Two convolutions of 32 and 30 channels, and heads of attention over positions."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Conv2d(4, 32, 3, padding=1), nn.Conv2d(32, 30, 3), nn.Conv2d(30, 5, 1)
        self.query = nn.Linear(16, 24)
        self.head = nn.Linear(8 * 3, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.c(self.b(self.a(x).relu()).relu()).flatten(2)[..., :16]
        q = self.query(x).unflatten(2, (3, 8)).transpose(1, 2)
        y = nn.functional.scaled_dot_product_attention(q, q, q)
        return self.head(y.transpose(1, 2).flatten(2))


def make_model(**settings: Any) -> Elastic:
    options = {"round_to": 8, "freeze": ["query.query"], "generator": make_generator(0), **settings}
    return Elastic(Convolutions(), (X,), **options)


@given(fraction=st.floats(0, 1, exclude_min=True), size=st.integers(1, 200), multiple=st.sampled_from([1, 2, 8, 16]))
def test_a_fraction_leaves_the_nearest_width_that_there_is(fraction: float, size: int, multiple: int) -> None:
    lower = min(size, multiple)
    kept = units(fraction, size, lower, multiple)
    allowed = [*range(multiple, size, multiple), size]
    assert kept in allowed
    assert abs(kept - fraction * size) <= min(abs(width - fraction * size) for width in allowed) + 1e-9


def test_channels_are_rounded_and_heads_are_not() -> None:
    model = make_model()
    assert model.groups["query.heads"].size == 3
    assert model.widths(0.4) == {"a": 16, "b": 16, "query.heads": 1}
    assert model.widths(0.01) == {"a": 8, "b": 8, "query.heads": 1}
    assert model.widths(0.95) == {"a": 32, "b": 30, "query.heads": 3}
    assert model.widths(1.0) == model.groups.sizes


def test_units_are_what_a_user_says_and_fractions_of_one_group_are_rounded() -> None:
    assert make_model().widths({"a": 13, "b": 0.4}) == {"a": 13, "b": 16, "query.heads": 3}


@pytest.mark.parametrize(
    "law",
    [
        Law(), Law(sharing="jittered"), Law(distribution="uniform_below_full", sharing="independent", chunks=1),
        Law(widths=(0.3, 0.7, 1.0)), Law(chunks="each"), Law(sandwich=4), Law(lowest=0.35),
    ],
)  # fmt: skip
def test_training_draws_only_widths_that_a_fraction_can_ask_for(law: Law) -> None:
    model = make_model(law=law).train()
    lowest = model.widths(law.lowest)
    for seed in range(6):
        x = torch.randn(8, 4, 6, 6, generator=make_generator(seed))
        _ = model.loss((x, x), lambda out, _: out.square().mean())
        for widths in model.last_widths:
            assert widths["a"] in (8, 16, 24, 32)
            assert widths["b"] in (8, 16, 24, 30)
            assert all(widths[name] >= lowest[name] for name in widths)


def test_the_curve_and_what_is_taken_home_are_rounded() -> None:
    model = make_model(law=Law(lowest=1 / 8)).eval()
    points = curve(model, lambda net: float(net(X).sum().detach()), latency=False)
    assert [(point.widths["a"], point.widths["b"]) for point in points] == [(8, 8), (16, 16), (24, 24), (32, 30)]
    small = model.extract(points.points[1])
    assert (small.get_parameter("a.weight").shape[0], small.get_parameter("b.weight").shape[:2]) == (16, (16, 16))


def test_named_groups_are_rounded_too() -> None:
    model = Elastic(Convolutions(), groups=[DECLARED[0]], round_to=16)
    assert model.widths(0.3) == {"a": 16}


def test_a_group_of_fewer_units_than_the_multiple_stays_whole_and_a_law_with_nothing_left_is_refused() -> None:
    assert make_model(round_to=31).widths(0.1) == {"a": 31, "b": 30, "query.heads": 1}
    with pytest.raises(WidthError) as caught:
        Elastic(Convolutions(), (X,), round_to=32, freeze=["query*"])
    assert str(caught.value) == (
        "a law must reach a width below full in some group, got lowest 0.03125 and step 32 for groups of at most 32 "
        "units (a); use smaller ones, or smaller lower bounds, or train the network itself"
    )


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"round_to": 0}, "round_to must be a whole number, at least 1, got 0; use 1 for every width"),
        ({"round_to": 8.0}, "round_to must be a whole number, at least 1, got 8.0; use 1 for every width"),
        (
            {"round_to": 8, "law": Law(step=4)},
            (
                "expected round_to= or a law with a step, got round_to=8 and step=4; leave out step, which training "
                "alone knows of"
            ),
        ),
    ],
)
def test_a_multiple_that_is_none_is_refused(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(WidthError) as caught:
        Elastic(Convolutions(), (X,), **settings)
    assert str(caught.value) == text
