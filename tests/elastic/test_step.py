"""The steps of a training: what a law may ask for, and what a step that fails leaves behind."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from tests.networks import assert_same, make_generator
from widthwise._shared import GroupError, TraceError, WidthError
from widthwise.elastic import Elastic, Law


class Folded(nn.Module):
    """Folds its batch into the one axis of its output."""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.norm, self.head = nn.Linear(6, 64), nn.BatchNorm1d(64), nn.Linear(64, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.norm(self.fc(x)).relu()).flatten()


def make_mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, 3))


def make_model(net: nn.Module | None = None, **settings: Any) -> Elastic:
    return Elastic(net or make_mlp(), (torch.zeros(2, 6),), generator=make_generator(0), law=Law(**settings)).train()


def state_of(model: Elastic) -> dict[str, Tensor]:
    """All that a step moves."""
    own = {} if model.num_steps is None else {"steps": model.num_steps}
    state = {**model.state_dict(), **own, "generator": model.generator.get_state()}
    return {name: tensor.clone() for name, tensor in state.items()}


@pytest.mark.parametrize(
    ("settings", "found"),
    [
        ({"step": 64}, "lowest 0.03125 and step 64"),
        ({"step": 64, "slow_start": 100}, "lowest 0.03125 and step 64"),
        ({"lowest": 0.995}, "lowest 0.995 and step 1"),
        ({"widths": (0.995, 1.0)}, "lowest 0.995 and step 1"),
        ({"widths": 3, "lowest": 0.995}, "lowest 0.995 and step 1"),
        ({"sandwich": 3, "lowest": 0.995}, "lowest 0.995 and step 1"),
        ({"chunks": "each", "lowest": 0.995}, "lowest 0.995 and step 1"),
    ],
)
def test_a_law_without_a_width_to_draw_is_refused_before_training(settings: dict[str, Any], found: str) -> None:
    with pytest.raises(WidthError) as caught:
        make_model(**settings)
    assert str(caught.value) == (
        f"a law must reach a width below full in some group, got {found} for groups of at most 64 units (0); "
        "use smaller ones, or smaller lower bounds, or train the network itself"
    )


def test_a_law_that_reaches_no_group_is_refused_before_training() -> None:
    attention = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
    with pytest.raises(GroupError, match=r"^a law of reach 'hidden' must find a group of hidden units, got "):
        Elastic(attention, (torch.zeros(2, 3, 8),), only=["self_attn*"], law=Law(reach="hidden"))


@pytest.mark.parametrize("slow_start", [0, 3])
@pytest.mark.parametrize(
    ("batch", "text"),
    [
        (1, "^batch norm in training needs more than one value per channel, got inputs of shape "),
        (0, "^the network was traced along a branch that holds for .* samples at once, got 0; give such a batch "),
    ],
)
def test_a_batch_on_which_nothing_can_run_leaves_the_training_as_it_was(batch: int, text: str, slow_start: int) -> None:
    model = make_model(slow_start=slow_start)
    model(torch.randn(8, 6, generator=make_generator(1)))
    before = state_of(model)
    with pytest.raises(TraceError, match=text):
        model(torch.zeros(batch, 6))
    assert_same(state_of(model), before)


def test_outputs_that_cannot_be_joined_leave_the_training_as_it_was() -> None:
    model = make_model(Folded())
    before = state_of(model)
    with pytest.raises(TraceError) as caught:
        model(torch.randn(8, 6, generator=make_generator(1)))
    assert str(caught.value) == (
        "the batch must be one axis of output 0, got the shape (3*batch,); let the network return one row per sample, "
        "as in y.view(x.shape[0], -1)"
    )
    assert_same(state_of(model), before)


def test_an_error_of_the_criterion_puts_the_generator_back() -> None:
    model = make_model(sandwich=3, slow_start=3)
    before = model.generator.get_state(), model.num_steps
    batch = torch.randn(8, 6, generator=make_generator(1)), torch.zeros(8, dtype=torch.long)
    with pytest.raises(WidthError, match="must give a loss of one number, got a tensor of shape"):
        model.loss(batch, lambda outputs, targets: cross_entropy(outputs, targets, reduction="none"))
    assert torch.equal(model.generator.get_state(), before[0])
    assert model.num_steps == before[1] == 0


def test_a_training_goes_on_after_a_refused_batch_as_if_it_had_not_been() -> None:
    model = make_model()
    other = copy.deepcopy(model)
    for seed in range(3):
        with pytest.raises(TraceError):
            model(torch.zeros(1, 6))
        x = torch.randn(8, 6, generator=make_generator(seed))
        assert torch.equal(model(x), other(x))
