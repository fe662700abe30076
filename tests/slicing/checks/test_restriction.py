from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

from tests.slicing.checks.samples import (
    CONV,
    CUMSUM,
    GROUP_NORM,
    ROLL,
    SOFTMAX,
    SORT,
    UNITS,
    Between,
    Planted,
    keep,
    plant,
    run_full,
    trace,
)
from widthwise.slicing.checks import check_restriction


def classes_of(net: nn.Module, inner: int = 5) -> dict[str, str]:
    """The classes of all operators at so many of the inner units, after the rest of the network is sound."""
    network = trace(net, torch.randn(4, 5))
    classes, failures = check_restriction(run_full(network), keep(network, inner=inner))
    assert failures == []
    return classes


def test_what_carries_units_is_L_and_what_sums_over_them_is_Z() -> None:
    assert classes_of(Between(lambda _, y: y)) == {
        "linear": "L", "relu": "L", "linear_1": "Z", "tanh": "L", "linear_2": "Z",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("work", "name", "expected"),
    [
        (lambda _, y: y - y.mean(-1, keepdim=True), "mean", "C"),
        (lambda _, y: y * y.var(-1, keepdim=True, correction=0), "var", "C"),
        (lambda _, y: y * y.amin(-1, keepdim=True), "amin", "C"),
        (lambda _, y: functional.layer_norm(y, (UNITS,)), "layer_norm", "C"),
        (lambda _, y: y * y.logsumexp(-1, keepdim=True), "logsumexp", "C"),
        (lambda _, y: y * y.sum(-1, keepdim=True), "sum", "Z"),
        (lambda _, y: y * y.norm(dim=-1, keepdim=True), "linalg_vector_norm", "Z"),
        (lambda _, y: y * y.sigmoid(), "sigmoid", "L"),
        (lambda _, y: torch.cat([y, y[:, :3]], -1)[:, 3:], "cat", "L"),
    ],
    ids=["mean", "var", "amin", "layer norm", "logsumexp", "sum", "norm", "sigmoid", "cat"],
)
def test_each_operator_has_its_class(work: Any, name: str, expected: str) -> None:
    found = {node: kind for node, kind in classes_of(Between(work)).items() if node.startswith(name)}
    assert found
    assert set(found.values()) == {expected}


def test_operators_that_touch_no_cut_axis_have_no_class() -> None:
    network = trace(Between(lambda _, y: y.softmax(-1)), torch.randn(4, 5))
    classes, failures = check_restriction(run_full(network), keep(network, outer=5))
    assert failures == []
    assert classes == {"linear": "L", "relu": "L", "linear_1": "Z"}


@pytest.mark.parametrize("planted", [ROLL, SOFTMAX, SORT], ids=lambda planted: planted[0])
def test_an_operator_that_mixes_units_is_named(planted: Planted, monkeypatch: pytest.MonkeyPatch) -> None:
    network = plant(monkeypatch, planted)
    classes, failures = check_restriction(run_full(network), keep(network, inner=5))
    assert [str(failure) for failure in failures] == [
        f"restriction: {planted[0]} on cut inputs is no cut of its full output"
    ]
    assert planted[0] not in classes


@pytest.mark.parametrize("planted", [CUMSUM, CONV], ids=lambda planted: planted[0])
def test_what_holds_for_prefixes_is_left_to_the_check_of_order(
    planted: Planted, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = plant(monkeypatch, planted)
    assert check_restriction(run_full(network), keep(network, inner=5))[1] == []


def test_an_operator_that_cannot_run_at_a_count_is_named_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    network = plant(monkeypatch, GROUP_NORM)
    classes, (failure,) = check_restriction(run_full(network), keep(network, inner=5))
    assert str(failure).startswith(
        "restriction: group_norm cannot run on cut inputs: Expected number of channels in input to be divisible by"
    )
    assert "group_norm" not in classes


def test_what_counts_its_units_is_left_to_the_masked_network(monkeypatch: pytest.MonkeyPatch) -> None:
    network = plant(monkeypatch, GROUP_NORM)
    classes, failures = check_restriction(run_full(network), keep(network, inner=4))
    assert classes["group_norm"] == "C"
    assert failures == []


def test_an_operator_that_draws_has_no_class() -> None:
    classes = classes_of(Between(lambda _, y: functional.dropout(y, 0.5, training=True) * torch.rand_like(y)))
    assert not {"dropout", "rand_like"} & classes.keys()
    assert "mul" in " ".join(classes)
