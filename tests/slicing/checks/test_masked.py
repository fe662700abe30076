from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.slicing.checks.samples import (
    GROUP_NORM,
    ROLL,
    SOFTMAX,
    UNITS,
    Between,
    Planted,
    keep,
    plant,
    run_full,
    trace,
)
from widthwise.graph import Call, Outcome
from widthwise.slicing.checks import check_masked
from widthwise.zoo.models import ResidualConvNet

LAST = "linear_2"


class GroupNormNet(nn.Module):
    """A convolution with 2 groups of 4 channels, normalised per group."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.head = nn.Conv2d(2, UNITS, 3), nn.GroupNorm(2, UNITS), nn.Linear(UNITS, 3)

    def forward(self, image: Tensor) -> Tensor:
        return self.head(torch.relu(self.norm(self.conv(image))).mean((2, 3)))


@pytest.mark.parametrize(
    "work",
    [
        lambda _, y: y,
        lambda _, y: y * (y * y.sigmoid()).sum(-1, keepdim=True),
        lambda _, y: y - y.mean(-1, keepdim=True),
        lambda _, y: functional.layer_norm(y, (UNITS,)) + functional.rms_norm(y, (UNITS,)),
        lambda _, y: y * torch.std_mean(y, -1, correction=0, keepdim=True)[0],
        lambda _, y: y * (y.amax(-1, keepdim=True) - y.amin(-1, keepdim=True) + y.logsumexp(-1, keepdim=True)),
        lambda _, y: y * y.max() + y.var(dim=0) * y.mean(),
    ],
    ids=["linear", "gate", "mean", "norms", "std_mean", "extrema", "over all"],
)
@pytest.mark.parametrize("inner", [1, 5, UNITS])
def test_a_sound_network_is_its_masked_form(work: Callable[[Any, Tensor], Tensor], inner: int) -> None:
    network = trace(Between(work), torch.randn(4, 5))
    assert check_masked(run_full(network), keep(network, inner=inner, outer=7)) == []


@pytest.mark.parametrize("make", [GroupNormNet, lambda: ResidualConvNet(2, 3, widths=(4, 6))], ids=["norm", "resnet"])
def test_a_sound_convolutional_network_is_its_masked_form(make: Callable[[], nn.Module]) -> None:
    network = trace(make(), torch.randn(3, 2, 6, 6))
    kept = network.kept({group.name: group.size // 2 for group in network.groups})
    assert check_masked(run_full(network), kept) == []


@pytest.mark.parametrize("planted", [ROLL, SOFTMAX], ids=lambda planted: planted[0])
def test_an_operator_that_mixes_units_is_seen_in_the_output(planted: Planted, monkeypatch: pytest.MonkeyPatch) -> None:
    network = plant(monkeypatch, planted)
    full = run_full(network)
    assert check_masked(full, keep(network)) == []
    assert [str(failure) for failure in check_masked(full, keep(network, inner=5))] == [
        f"masked: {LAST} differs between the sliced and the masked full network"
    ]


def test_a_group_norm_over_other_groups_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    network = plant(monkeypatch, GROUP_NORM)
    assert [failure.node for failure in check_masked(run_full(network), keep(network, inner=4))] == [LAST]


def test_what_an_operator_draws_is_the_same_for_both() -> None:
    net = Between(lambda _, y: functional.dropout(y, 0.5, training=True) + torch.rand_like(y))
    network = trace(net, torch.randn(4, 5))
    for inner in (1, 5, UNITS):
        assert check_masked(run_full(network), keep(network, inner=inner)) == []


@pytest.mark.parametrize("is_before", [True, False])
def test_a_fault_on_either_side_of_a_draw_is_seen(is_before: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    def work(_: Any, y: Tensor) -> Tensor:
        y = y.roll(1, -1) if is_before else y
        y = functional.dropout(y, 0.5, training=True)
        return y if is_before else y.roll(1, -1)

    network = plant(monkeypatch, ("roll", ROLL[1], Between(work)))
    failures = check_masked(run_full(network), keep(network, inner=5))
    assert [failure.node for failure in failures] == ["roll" if is_before else LAST]


def test_an_operator_that_draws_several_tensors_is_replayed() -> None:
    net = Between(lambda _, y: torch.native_dropout(y, 0.5, train=True)[0] * torch.native_dropout(y, 0.5, True)[1])
    network = trace(net, torch.randn(4, 5))
    assert check_masked(run_full(network), keep(network, inner=5)) == []


def test_an_output_that_is_an_input_or_no_tensor_is_no_hindrance() -> None:
    class Returning(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = Between(lambda _, y: y)

        def forward(self, x: Tensor) -> tuple[Any, ...]:
            return self.net(x), x, None, 2.0, x.shape[0]

    network = trace(Returning(), torch.randn(4, 5))
    assert check_masked(run_full(network), keep(network, net__inner=5)) == []


def test_a_width_that_a_norm_did_not_hear_of_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def mean_at_full_width(call: Call) -> Outcome:
        for term in call.axes("self")[-1:]:
            call.solver.read(term)
        return Outcome(outputs=(call.axes("self")[:-1],))

    net = Between(lambda _, y: y + (y.sum(-1) / UNITS)[:, None])
    network = trace(net, torch.randn(4, 5))
    # A number in the code is the same in both forms: what it stands for cannot be told from the graph.
    assert check_masked(run_full(network), keep(network, inner=5)) == []
    assert mean_at_full_width
