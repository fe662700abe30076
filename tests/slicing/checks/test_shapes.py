import pytest
import torch
from torch import Tensor, nn

from tests.slicing.checks.samples import GROUP_NORM, ROLL, UNTIED_ADD, keep, nodes_of, plant, run_full, trace
from widthwise.slicing.checks import check_shapes
from widthwise.zoo.models import MLP, ResidualConvNet


@pytest.mark.parametrize(
    ("net", "inputs"),
    [(MLP([5, 7, 6, 3]), torch.randn(4, 5)), (ResidualConvNet(2, 3, widths=(4, 6)), torch.randn(3, 2, 6, 6))],
    ids=["mlp", "resnet"],
)
def test_a_sound_network_has_the_shapes_of_its_terms_at_any_counts(net: nn.Module, inputs: Tensor) -> None:
    network = trace(net, inputs)
    full = run_full(network)
    for seed in range(3):
        generator = torch.Generator().manual_seed(seed)
        widths = {g.name: int(torch.randint(1, g.size + 1, (), generator=generator)) for g in network.groups}
        assert check_shapes(full, network.kept(widths)) == []


def test_a_missing_tie_fails_at_unequal_counts_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    network = plant(monkeypatch, UNTIED_ADD)
    full = run_full(network)
    assert check_shapes(full, keep(network, inner=4, parts__0=4)) == []
    failures = check_shapes(full, keep(network, inner=4, parts__0=3))
    assert nodes_of(failures)[0].startswith("add")
    assert failures[0].reason.startswith("cannot run: The size of tensor a (4) must match the size of tensor b (3)")


def test_a_missing_tie_cannot_hide_behind_broadcasting(monkeypatch: pytest.MonkeyPatch) -> None:
    network = plant(monkeypatch, UNTIED_ADD)
    failures = check_shapes(run_full(network), keep(network, inner=1))
    assert nodes_of(failures)[0].startswith("add")
    assert failures[0].reason == "has shape (4, 8) where its axes say (4, 1)"
    assert failures[0].check == "shapes"


def test_an_operator_that_cannot_run_at_a_count_is_named_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    network = plant(monkeypatch, GROUP_NORM)
    (failure,) = check_shapes(run_full(network), keep(network, inner=5))
    assert str(failure).startswith(
        "shapes: group_norm cannot run: Expected number of channels in input to be divisible by num_groups"
    )
    assert "\n" not in str(failure)


def test_a_fault_that_keeps_all_shapes_is_not_for_this_check(monkeypatch: pytest.MonkeyPatch) -> None:
    network = plant(monkeypatch, ROLL)
    assert check_shapes(run_full(network), keep(network, inner=3)) == []
