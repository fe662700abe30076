from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.networks import assert_same, make_generator, make_model, reset_model, shared_model
from widthwise._shared import DataError, GroupError
from widthwise.elastic import Elastic, Law


def make_loader(num_batches: int = 3, seed: int = 0) -> list[tuple[Tensor, Tensor]]:
    generator = make_generator(seed)
    inputs = [torch.randn(40, 6, generator=generator, dtype=torch.float64) for _ in range(num_batches)]
    return [(x, x[:, :3].argmax(1)) for x in inputs]


def loss_of(net: nn.Module, loader: list[tuple[Tensor, Tensor]]) -> float:
    with torch.no_grad():
        return float(
            functional.cross_entropy(net(torch.cat([x for x, _ in loader])), torch.cat([y for _, y in loader]))
        )


@pytest.mark.parametrize("width", [0.2, 0.5, 1.0])
@pytest.mark.parametrize("form", ["module", "graph"])
def test_refitting_lowers_the_training_loss(width: float, form: Any) -> None:
    model, loader = reset_model("mlp").eval(), make_loader()
    before = model.extract(width, form=form)
    after = model.extract(width, refit=loader, form=form)
    assert loss_of(after, loader) < 0.9 * loss_of(before, loader)


def test_the_refitted_head_is_a_stationary_point_of_the_stated_objective() -> None:
    model, loader = shared_model("mlp"), make_loader()
    start, small = model.extract(0.5), model.extract(0.5, refit=loader)
    x, labels = (torch.cat(column) for column in zip(*loader, strict=True))
    features = torch.relu(small.fc2(torch.relu(small.fc1(x)))).detach()
    weight, bias = small.head.weight, small.head.bias

    pull = 1e-4 * features.square().mean(0) * (weight - start.head.weight.detach()).square()
    loss = functional.cross_entropy(features @ weight.T + bias, labels) + pull.sum()
    (loss + 1e-4 * (bias - start.head.bias.detach()).square().sum()).backward()

    assert weight.grad.abs().max() < 1e-4
    assert bias.grad.abs().max() < 1e-4


def test_refitting_changes_the_head_alone_and_leaves_the_full_network_alone() -> None:
    model, loader = make_model("mlp"), make_loader()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    start, small = model.extract(0.5), model.extract(0.5, refit=loader)
    changed = {key for key, value in small.state_dict().items() if not torch.equal(value, start.state_dict()[key])}
    assert changed == {"head.weight", "head.bias"}
    assert_same(dict(model.state_dict()), before)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_refitting_follows_the_recalibration() -> None:
    model = shared_model("mlp-norm")
    loader = [(x.view(-1, 2, 3), y) for x, y in make_loader()]
    plain = model.extract(0.5, calibrate=loader)
    small = model.extract(0.5, calibrate=loader, refit=loader)
    assert_same(small.norm1.running_mean, plain.norm1.running_mean)
    assert loss_of(small, loader) < loss_of(plain, loader)


def test_refitting_works_where_gradients_are_switched_off() -> None:
    model, loader = shared_model("mlp"), make_loader()
    with torch.no_grad():
        small = model.extract(0.5, refit=loader)
    assert_same(small.state_dict(), model.extract(0.5, refit=loader).state_dict())


def test_parameters_in_float32_are_refitted_too() -> None:
    model = make_model("mlp", torch.float32)
    loader = [(x.float(), y.int()) for x, y in make_loader()]
    small = model.extract(0.5, refit=loader)
    assert small.head.weight.dtype == torch.float32
    assert loss_of(small, [(x, y.long()) for x, y in loader]) < loss_of(
        model.extract(0.5), [(x, y.long()) for x, y in loader]
    )


def test_an_empty_loader_is_an_error() -> None:
    with pytest.raises(GroupError) as caught:
        shared_model("mlp").extract(0.5, refit=[])
    assert str(caught.value) == "refit needs at least one batch, got an empty loader; pass training samples"


@pytest.mark.parametrize("batch", [torch.zeros(4, 6), (torch.zeros(4, 6),), {"x": torch.zeros(4, 6)}])
def test_batches_without_labels_are_an_error(batch: Any) -> None:
    with pytest.raises(DataError) as caught:
        shared_model("mlp").extract(0.5, refit=[batch])
    assert str(caught.value) == (
        "refit needs batches of (inputs, labels), got batches without labels; pass a loader of training samples"
    )


@pytest.mark.parametrize(
    ("labels", "got"),
    [
        (torch.zeros(4), "torch.float32 of shape (4,)"),
        (torch.zeros(4, 3, dtype=torch.int64), "torch.int64 of shape (4, 3)"),
        ([0, 1, 2, 0], "list"),
    ],
)
def test_labels_that_are_no_classes_are_an_error(labels: Any, got: str) -> None:
    with pytest.raises(GroupError) as caught:
        shared_model("mlp").extract(0.5, refit=[(torch.zeros(4, 6, dtype=torch.float64), labels)])
    assert str(caught.value) == (
        f"refit needs class labels, whole numbers of shape (batch,), got {got}; pass a loader of these"
    )


@pytest.mark.parametrize("wrong", [-1, 3])
def test_labels_beyond_the_outputs_are_an_error(wrong: int) -> None:
    labels = torch.tensor([0, 1, 2, wrong])
    with pytest.raises(GroupError) as caught:
        shared_model("mlp").extract(0.5, refit=[(torch.zeros(4, 6, dtype=torch.float64), labels)])
    assert str(caught.value) == (
        f"refit needs labels in [0, 3), the outputs of the network, got {min(0, wrong)} to {max(2, wrong)}; number the "
        "classes from 0"
    )


def test_features_per_position_are_an_error() -> None:
    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    model = Elastic(net, (torch.randn(4, 5, 4),), law=Law(lowest=0.1))
    with pytest.raises(GroupError) as caught:
        model.extract(0.5, refit=[(torch.randn(6, 5, 4), torch.zeros(6, dtype=torch.int64))])
    assert str(caught.value) == (
        "refit needs one vector of features per sample, got features of shape (6, 5, 4); leave out refit= for this "
        "network"
    )
