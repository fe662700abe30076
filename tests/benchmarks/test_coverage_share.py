import pytest
import torch
from torch import nn

import widthwise as ww
from benchmarks.coverage.elastic import compare_extracted, compare_outputs, describe_groups
from benchmarks.coverage.share import count_reasons, count_shares
from benchmarks.coverage.subject import run_network

OUT, IN, WORDS = (
    "output of the model",
    "input of the model",
    "aten.embedding (net.py:3) addresses its vocabulary by number",
)


def test_parameters_divide_into_those_in_groups_at_an_edge_outside_and_held() -> None:
    shapes = {"inner": (8, 8), "last": (3, 8), "bias": (3,), "held": (8, 5), "scale": ()}
    members = {("inner", 0), ("inner", 1), ("last", 1)}
    shares = count_shares(
        shapes, members, {("last", 0): OUT, ("bias", 0): OUT, ("held", 0): "aten.sort", ("held", 1): IN}
    )
    assert (shares.num_parameters, shares.num_outside) == (64 + 24 + 3 + 40 + 1, 3 + 1)
    assert (shares.num_in_groups, shares.num_at_edge) == (64 + 24, 24)
    assert shares.inside == 88 / 128
    assert shares.whole == 88 / 132
    assert shares.frozen == pytest.approx((132 - 88 + 24 / 2) / 132)


def test_a_vocabulary_is_an_edge() -> None:
    shares = count_shares({"words": (50, 8)}, {("words", 1)}, {("words", 0): WORDS})
    assert (shares.num_in_groups, shares.num_at_edge) == (400, 400)


def test_the_window_of_a_convolution_is_no_width_but_other_axes_that_slide_are() -> None:
    window = "aten.conv2d (net.py:7) has a kernel of this size"
    frozen = {("conv", 0): OUT, ("conv", 1): IN, ("conv", 2): window, ("conv", 3): window}
    assert count_shares({"conv": (3, 3, 5, 5)}, set(), frozen).num_outside == 225
    slides = {("linear", 0): "aten.conv1d (net.py:9) slides along this axis", ("linear", 1): IN}
    assert count_shares({"linear": (6, 4)}, set(), slides).num_outside == 0


def test_a_parameter_that_nothing_is_known_of_is_held_inside() -> None:
    assert count_shares({"unread": (4, 4)}, set(), {}).inside == 0.0


def test_reasons_are_counted_without_their_places_and_without_edges() -> None:
    frozen = {
        ("a", 0): "aten.sort (one.py:1) works along this axis",
        ("b", 0): "aten.sort (two.py:22) works along this axis",
        ("c", 0): "never read: no operator sums over it",
        ("d", 0): OUT,
        ("e", 2): "aten.conv2d (net.py:7) has a kernel of this size",
    }
    assert count_reasons(frozen) == {"aten.sort works along this axis": 2, "never read: no operator sums over it": 1}


def make_toy() -> tuple[nn.Module, tuple[torch.Tensor]]:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 3)).eval(), (torch.randn(2, 4),)


def test_a_toy_network_is_described_by_its_groups() -> None:
    net, inputs = make_toy()
    described = describe_groups(ww.Elastic(net, inputs))
    numbers = {"num_parameters": 131, "num_outside": 3, "num_in_groups": 128, "num_at_edge": 112}
    assert described == {"num_groups": 1, "shares": numbers, "reasons": {}}


def test_an_extracted_toy_network_is_compared_with_its_views() -> None:
    net, inputs = make_toy()
    compared = compare_extracted(ww.Elastic(net, inputs), inputs, run_network(net, inputs), 0.5)
    assert compared["num_parameters"] == 4 * 8 + 8 + 8 * 3 + 3
    assert (compared["form"], compared["same_shapes"]) == ("own class", True)
    difference = compared["difference"]
    assert isinstance(difference, float)
    assert difference <= 1e-6


def test_a_difference_is_relative_to_the_largest_entry() -> None:
    assert compare_outputs({"a": torch.tensor([4.0, 1.0])}, {"a": torch.tensor([4.0, 2.0])}) == 0.25
    infinite = torch.tensor([1.0, float("inf")])
    assert compare_outputs(infinite, infinite.clone()) == 0.0
    assert compare_outputs(torch.empty(2, device="meta"), torch.empty(2, device="meta")) is None


def test_outputs_that_cannot_be_compared_are_refused() -> None:
    with pytest.raises(ValueError, match=r"extract gives \(2,\), the views \(3,\)"):
        compare_outputs(torch.zeros(2), torch.zeros(3))
    with pytest.raises(ValueError, match="not finite at different places"):
        compare_outputs(torch.tensor([1.0, float("nan")]), torch.ones(2))
