from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from tests.elastic.parts import images, make_pictures
from tests.networks import assert_same, make_generator, make_model
from widthwise.elastic import Elastic
from widthwise.elastic.arrangement import Arrangement
from widthwise.elastic.elimination import eliminate
from widthwise.elastic.samples import read_pairs


class Witness:
    """Remembers what it was told to sort, and sorts nothing."""

    def __init__(self) -> None:
        self.calls: list[tuple[dict[str, Tensor], dict[str, int]]] = []

    def sort(self, scores: Mapping[str, Tensor], lengths: Mapping[str, int]) -> None:
        self.calls.append(({name: each.clone() for name, each in scores.items()}, dict(lengths)))


def run(model: Elastic, x: Tensor, y: Tensor, arrangement: Any) -> None:
    samples = list(read_pairs(model._engine, [(x, y)]))
    eliminate(model._engine, samples, functional.cross_entropy, arrangement)


def draw(*shape: int) -> tuple[Tensor, Tensor]:
    generator = make_generator(1)
    x = torch.randn(30, *shape, generator=generator, dtype=torch.float64)
    return x, torch.randint(0, 3, (30,), generator=generator)


def test_every_width_is_sorted_by_the_loss_of_the_network_at_that_width() -> None:
    model, (x, y), witness = make_model("mlp").eval(), draw(6), Witness()
    run(model, x, y, witness)
    lengths = [lengths for _, lengths in witness.calls]
    assert lengths[0] == {"fc1": 10, "fc2": 7}
    assert [each["fc1"] for each in lengths if "fc1" in each] == [10, 9, 8, 7, 6, 5, 4, 3, 2, 1]
    assert [each["fc2"] for each in lengths if "fc2" in each] == [7, 6, 5, 4, 3, 2, 1]
    net = model.net
    for scores, shrunk in witness.calls[2:4]:
        widths = {"fc1": int((scores["fc1"] != 0).sum()), "fc2": int((scores["fc2"] != 0).sum())}
        assert shrunk.items() <= widths.items()
        h1, h2 = widths["fc1"], widths["fc2"]
        hidden = torch.relu(net.fc1(x))[:, :h1]
        hidden = torch.relu(hidden @ net.fc2.weight[:h2, :h1].T + net.fc2.bias[:h2])
        gate = torch.ones(h2, dtype=torch.float64, requires_grad=True)
        loss = functional.cross_entropy((hidden * gate) @ net.head.weight[:, :h2].T + net.head.bias, y)
        (slope,) = torch.autograd.grad(loss, [gate])
        assert_same(scores["fc2"][:h2], slope.square())


@pytest.mark.parametrize("make", [lambda: make_model("mlp-norm"), make_pictures])
def test_statistics_and_modes_are_left_alone(make: Any) -> None:
    model = make().eval()
    x, y = (images(), torch.arange(8) % 3) if model.net.__class__.__name__ == "Pictures" else draw(2, 3)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    run(model, x, y, Witness())
    assert_same(dict(model.state_dict()), before)
    assert not any(module.training for module in model.net.modules())


def test_batch_norms_use_the_statistics_of_the_width() -> None:
    model, (x, y) = make_model("mlp-norm").eval(), draw(2, 3)
    one, other = Witness(), Witness()
    run(model, x, y, one)
    with torch.no_grad():
        model.net.norm2.running_var.mul_(7)
    run(model, x, y, other)
    assert not torch.allclose(one.calls[0][0]["fc2"], other.calls[0][0]["fc2"])
    for (scores, _), (same, _) in zip(one.calls[1:], other.calls[1:], strict=True):
        assert_same(scores, same)


def test_groups_that_move_by_name_are_sorted_at_full_width_only() -> None:
    model, witness = make_model("conv").eval(), Witness()
    x, y = draw(2, 4, 4)
    run(model, x, y, witness)
    assert "pointwise.0" in witness.calls[0][1]
    assert all("pointwise.0" not in lengths for _, lengths in witness.calls[1:])


def test_parameters_that_are_held_fixed_count_too() -> None:
    model, (x, y) = make_model("mlp").eval(), draw(6)
    free, held = Arrangement(model._engine, None), Witness()
    run(model, x, y, free)
    free.undo()
    model.net.requires_grad_(False)
    run(model, x, y, held)
    assert held.calls[0][0]["fc1"].all()
    assert not any(parameter.requires_grad for parameter in model.net.parameters())
