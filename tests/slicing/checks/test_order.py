import pytest
import torch
from torch import nn
from torch.nn import functional

from tests.slicing.checks.samples import (
    CONV,
    CUMSUM,
    GROUP_NORM,
    ROLL,
    SORT,
    UNITS,
    Between,
    Planted,
    nodes_of,
    plant,
    run_full,
    trace,
)
from widthwise.slicing.checks import check_order


@pytest.mark.parametrize("planted", [ROLL, CUMSUM, SORT, CONV, GROUP_NORM], ids=lambda planted: planted[0])
def test_an_operator_along_units_is_named(planted: Planted, monkeypatch: pytest.MonkeyPatch) -> None:
    full = run_full(plant(monkeypatch, planted))
    (failure,) = check_order(full, torch.Generator().manual_seed(0))
    assert str(failure) == f"order: {planted[0]} depends on the order of units it should only carry"


@pytest.mark.parametrize(
    "net",
    [
        Between(lambda _, y: y),
        Between(lambda parts, y: y + parts[0](y), nn.LayerNorm(UNITS)),
        Between(lambda _, y: y - y.mean(-1, keepdim=True)),
        Between(lambda _, y: torch.cat([y.sum(-1, keepdim=True), y.amax(-1, keepdim=True)], -1).repeat(1, UNITS // 2)),
        Between(lambda _, y: y.softmax(-1)),
        Between(lambda _, y: functional.dropout(y, 0.5, training=True) * torch.rand_like(y)),
    ],
    ids=["linear", "layer norm", "mean", "folded away", "frozen softmax", "random"],
)
def test_operators_that_carry_or_fold_units_pass(net: nn.Module) -> None:
    assert check_order(run_full(trace(net, torch.randn(4, 5))), torch.Generator().manual_seed(0)) == []


def test_units_of_several_groups_are_shuffled_apart() -> None:
    net = Between(lambda parts, y: parts[1](torch.relu(parts[0](y))), nn.Linear(UNITS, 10), nn.Linear(10, UNITS))
    network = trace(net, torch.randn(4, 5))
    assert len(network.groups) == 4
    assert check_order(run_full(network), torch.Generator().manual_seed(1)) == []


def test_an_operator_that_draws_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    net = Between(lambda _, y: functional.dropout(y, 0.5, training=True).roll(1, -1))
    network = plant(monkeypatch, ("roll", ROLL[1], net))
    assert nodes_of(check_order(run_full(network), torch.Generator().manual_seed(0))) == ["roll"]
