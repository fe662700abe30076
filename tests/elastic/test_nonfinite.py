"""The widths at which a training breaks."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from tests.networks import assert_same, make_generator
from widthwise._shared import WidthError
from widthwise.elastic import Elastic, Law, find_nonfinite

# Full, and one of each of two levels.
SPLIT = Law(widths=(0.25, 0.5, 1.0), chunks=3)
LAWS = [SPLIT, Law(widths=(0.25, 0.5, 1.0), sandwich=3)]


class Scaled(nn.Module):
    """Multiplies its outputs by the length of its hidden units, whose gradient is none where they are all zero."""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.norm, self.drop, self.head = nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.fc(x)
        return self.head(self.drop(self.norm(hidden))) * hidden.square().sum(1, keepdim=True).sqrt()


def make_model(law: Law) -> Elastic:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Elastic(Scaled(), (torch.zeros(2, 6),), law=law, generator=make_generator(0)).train()


def make_batch() -> tuple[Tensor, Tensor]:
    return torch.randn(12, 6, generator=make_generator(1)), torch.zeros(12, dtype=torch.long)


def train(model: Elastic) -> Tensor:
    loss = model.loss(make_batch(), cross_entropy)
    loss.backward()
    return loss


@pytest.mark.parametrize("law", LAWS)
def test_a_training_that_goes_well_has_none(law: Law) -> None:
    model = make_model(law)
    train(model)
    assert model.last_widths == [{"fc": 8}, {"fc": 2}, {"fc": 4}]
    assert find_nonfinite(model, make_batch(), cross_entropy) == []


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize(("unit", "expected"), [(7, [8]), (3, [8, 4]), (0, [8, 2, 4])])
def test_the_widths_with_a_loss_that_is_not_finite_are_found(law: Law, unit: int, expected: list[int]) -> None:
    model = make_model(law)
    with torch.no_grad():
        model.net.head.weight[:, unit] = torch.inf
    assert not torch.isfinite(train(model))
    assert find_nonfinite(model, make_batch(), cross_entropy) == [{"fc": kept} for kept in expected]


@pytest.mark.parametrize("law", LAWS)
def test_a_width_with_a_finite_loss_and_a_gradient_that_is_not_is_found(law: Law) -> None:
    model = make_model(law)
    with torch.no_grad():
        model.net.fc.weight[:2] = model.net.fc.bias[:2] = 0
    assert torch.isfinite(train(model))
    assert not model.net.fc.weight.grad.isfinite().all()
    assert find_nonfinite(model, make_batch(), cross_entropy) == [{"fc": 2}]


def test_nothing_moves() -> None:
    model = make_model(SPLIT)
    train(model)

    def state() -> dict[str, Tensor]:
        grads = {f"{name} grad": parameter.grad for name, parameter in model.named_parameters()}
        generators = {"own": model.generator.get_state(), "global": torch.get_rng_state()}
        return {name: value.clone() for name, value in {**model.state_dict(), **grads, **generators}.items()}

    before = state()
    find_nonfinite(model, make_batch(), cross_entropy)
    assert_same(state(), before)


def test_before_the_first_step_there_are_none() -> None:
    model = make_model(SPLIT)
    assert model.last_widths == []
    assert find_nonfinite(model, make_batch(), cross_entropy) == []


def test_a_loss_of_many_numbers_is_refused() -> None:
    model = make_model(SPLIT)
    train(model)
    with pytest.raises(WidthError, match=r"criterion must give a loss of one number, got a tensor of shape \(12,\)"):
        find_nonfinite(model, make_batch(), lambda out, y: cross_entropy(out, y, reduction="none"))
