"""What the first steps of a training tell: batches that are too small, and groups that get no gradients."""

import copy
import warnings
from collections.abc import Iterable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from tests.networks import make_generator
from widthwise._shared import WidthWarning
from widthwise.elastic import Elastic, Law, make_law

NONE_FOR = (
    "expected gradients for the units of every width group, got none in 5 steps for {}; let the loss depend on them, "
    "or keep them whole with freeze="
)


class Branched(nn.Module):
    """Two branches on one stem; `cut` says which of them is detached, or left out of the outputs' loss."""

    def __init__(self, cut: str = "") -> None:
        super().__init__()
        self.stem, self.near, self.far = nn.Linear(6, 8), nn.Linear(8, 16), nn.Linear(8, 12)
        self.near_head, self.far_head = nn.Linear(16, 3), nn.Linear(12, 3)
        self.cut = cut

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        stem = self.stem(x).relu()
        near, far = self.near(stem).relu(), self.far(stem).relu()
        if self.cut == "features":
            far = far.detach()
        outputs = self.near_head(near), self.far_head(far)
        return (outputs[0], outputs[1].detach()) if self.cut == "branch" else outputs


def make_model(cut: str = "", **settings: Any) -> Elastic:
    return Elastic(Branched(cut), (torch.zeros(2, 6),), generator=make_generator(0), **settings).train()


def train(model: Elastic, num_steps: int, batch: int = 8, *, both: bool = True) -> list[str]:
    """Return what was warned of in so many steps."""
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    x, y = torch.randn(batch, 6, generator=make_generator(1)), torch.zeros(batch, dtype=torch.long)
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        for _ in range(num_steps):
            near, far = model(x)
            (cross_entropy(near, y) + (cross_entropy(far, y) if both else 0)).backward()
            optimizer.step()
            optimizer.zero_grad()
    assert all(each.category is WidthWarning for each in found)
    return [str(each.message) for each in found]


def num_hooks(model: Elastic) -> int:
    return sum(len(p._post_accumulate_grad_hooks or ()) for p in model.parameters())


def test_a_network_in_which_all_is_trained_is_not_warned_of_and_keeps_no_hooks() -> None:
    model = make_model()
    assert train(model, 7) == []
    assert num_hooks(model) == 0


@pytest.mark.parametrize("cut", ["features", "branch"])
def test_a_group_without_gradients_is_named_once(cut: str) -> None:
    model = make_model(cut)
    assert train(model, 5) == []
    assert train(model, 8) == [NONE_FOR.format("far")]
    assert num_hooks(model) == 0


def test_an_output_that_the_loss_leaves_out_is_found() -> None:
    assert train(make_model(), 7, both=False) == [NONE_FOR.format("far")]


def test_units_that_a_user_has_frozen_are_not_warned_of() -> None:
    model = make_model()
    model.net.far.requires_grad_(False)
    assert train(model, 7) == []


def test_a_branch_that_is_trained_now_and_then_is_not_warned_of() -> None:
    model = make_model()
    assert train(model, 4, both=False) + train(model, 1) + train(model, 8, both=False) == []


def test_calls_without_a_backward_tell_nothing() -> None:
    model = make_model("branch")
    with torch.no_grad():
        assert [model(torch.zeros(8, 6))[0].shape for _ in range(9)] == [(8, 3)] * 9
    for _ in range(9):
        model(torch.zeros(8, 6))
    assert train(model, 5) == []


def test_a_copy_watches_its_own_parameters() -> None:
    model = make_model("branch")
    assert train(model, 3) == []
    other = copy.deepcopy(model)
    assert num_hooks(other) == 0
    assert train(other, 6) == train(model, 4) == [NONE_FOR.format("far")]


@pytest.mark.parametrize("settings", [{"chunks": 4}, {"chunks": 4, "slow_start": 1}])
def test_a_first_batch_too_small_for_all_chunks_is_warned_of_once(settings: dict[str, int]) -> None:
    model = make_model(law=Law(**settings))  # pyright: ignore[reportArgumentType]
    assert train(model, 3, batch=3) == [
        (
            "expected batches with a sample for each of 4 chunks (two with batch norm), got one that is enough for 3; "
            "chance decides which widths run, full width too: give larger batches, or Law(chunks=3)"
        )
    ]


def test_a_small_last_batch_is_not_warned_of() -> None:
    model = make_model()
    assert train(model, 1, batch=8) + train(model, 1, batch=3) == []


@pytest.mark.parametrize("law", [Law(chunks="each"), Law(chunks=1), Law(chunks=2)])
def test_a_batch_large_enough_for_the_law_is_not_warned_of(law: Law) -> None:
    assert train(make_model(law=law), 2, batch=2) == []


FORGOTTEN = (
    "expected an optimiser of model.parameters(), got one that leaves out what the law learns for each octave; build "
    "it from those, or take a law with unit_affine=False"
)


def step_with(model: Elastic, parameters: Iterable[nn.Parameter], num_steps: int) -> list[str]:
    optimizer = torch.optim.Adam(parameters)
    x = torch.randn(8, 6, generator=make_generator(1))
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        for _ in range(num_steps):
            sum(out.square().mean() for out in model(x)).backward()
            optimizer.step()
            optimizer.zero_grad()
    return [str(each.message) for each in found]


def test_an_optimiser_of_the_network_alone_is_warned_of_once() -> None:
    model = make_model(law=Law(unit_affine=True))
    assert step_with(model, model.net.parameters(), 12) == [FORGOTTEN]
    assert not step_with(model, model.net.parameters(), 12)


@pytest.mark.parametrize("law", [Law(), Law(unit_affine=True), make_law("default")])
def test_an_optimiser_of_the_model_is_not_warned_of(law: Law) -> None:
    model = make_model(law=law)
    assert not step_with(model, model.parameters(), 12)


def test_what_is_not_to_be_learned_need_not_be_in_the_optimiser() -> None:
    model = make_model(law=Law(unit_affine=True))
    for parameter in model.unit_affine.parameters():
        parameter.requires_grad_(False)
    assert not step_with(model, model.net.parameters(), 12)
