import copy
import re

import pytest
import torch
from torch import nn

from tests.training.conftest import TINY
from widthwise._shared import RecipeError
from widthwise.training import Recipe, parse_recipe
from widthwise.training.precision import Precision, PrecisionName
from widthwise.training.session import Session
from widthwise.zoo import DataSplits


def draw(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


def make_net() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))


def take_steps(precision: Precision, net: nn.Module, count: int, *, grad_clip: float | None = None) -> list[bool]:
    optimiser = torch.optim.SGD(net.parameters(), lr=0.1)
    taken: list[bool] = []
    for _ in range(count):
        with precision.autocast():
            loss = nn.functional.mse_loss(net(draw(8, 4)).float(), draw(8, 2))
        optimiser.zero_grad()
        precision.backward(loss)
        taken.append(precision.step(optimiser, net, grad_clip))
    return taken


@pytest.mark.parametrize(
    ("name", "dtype"), [("float32", torch.float32), ("bfloat16", torch.bfloat16), ("float16", torch.float16)]
)
def test_layers_compute_in_the_precision_and_weights_stay(name: PrecisionName, dtype: torch.dtype) -> None:
    net = make_net()
    with Precision(name, "cpu").autocast():
        assert net(draw(8, 4)).dtype == dtype
    assert all(parameter.dtype == torch.float32 for parameter in net.parameters())


def test_float32_takes_the_steps_of_the_optimiser() -> None:
    net = make_net()
    other = copy.deepcopy(net)
    assert take_steps(Precision("float32", "cpu"), net, 2) == [True, True]
    optimiser = torch.optim.SGD(other.parameters(), lr=0.1)
    for _ in range(2):
        optimiser.zero_grad()
        nn.functional.mse_loss(other(draw(8, 4)), draw(8, 2)).backward()
        optimiser.step()
    for one, two in zip(net.parameters(), other.parameters(), strict=True):
        assert torch.equal(one, two)


@pytest.mark.parametrize("name", ["float32", "float16"])
def test_gradients_are_clipped_as_they_are_and_not_as_they_are_scaled(name: PrecisionName) -> None:
    net = make_net()
    before = torch.cat([parameter.detach().flatten().clone() for parameter in net.parameters()])
    precision = Precision(name, "cpu")
    while not take_steps(precision, net, 1, grad_clip=1e-3)[0]:
        pass
    after = torch.cat([parameter.detach().flatten() for parameter in net.parameters()])
    assert float((after - before).norm()) == pytest.approx(1e-4, rel=1e-2)


def test_float16_takes_no_step_where_gradients_overflow_and_lowers_the_factor() -> None:
    net, precision = make_net(), Precision("float16", "cpu")
    precision.load_state({**precision.state(), "scale": 2.0**40})
    before = [parameter.detach().clone() for parameter in net.parameters()]
    assert take_steps(precision, net, 1) == [False]
    assert all(torch.equal(*pair) for pair in zip(net.parameters(), before, strict=True))
    assert precision.state()["scale"] == 2.0**39


def test_a_loaded_factor_goes_on_where_it_was() -> None:
    one, net = Precision("float16", "cpu"), make_net()
    take_steps(one, net, 3)
    other = Precision("float16", "cpu")
    other.load_state(one.state())
    twin = copy.deepcopy(net)
    assert take_steps(one, net, 2) == take_steps(other, twin, 2)
    assert one.state() == other.state()
    assert all(torch.equal(*pair) for pair in zip(net.parameters(), twin.parameters(), strict=True))
    with pytest.raises(KeyError):
        other.load_state({})
    assert Precision("bfloat16", "cpu").state() == {}


def test_a_recipe_that_asks_for_a_gpu_where_there_is_none_is_one_line(
    tiny: Recipe, clouds: DataSplits, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    recipe = parse_recipe(TINY, overrides=["device=cuda", "precision=float16"])
    message = (
        "recipe tiny: expected a GPU for training.device = 'cuda', got none that torch can use; set training.device=cpu"
    )
    with pytest.raises(RecipeError, match=f"^{re.escape(message)}$"):
        Session.start(recipe, clouds)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_a_training_on_a_gpu_learns(precision: str, clouds: DataSplits) -> None:
    session = Session.start(parse_recipe(TINY, overrides=["device=cuda", f"precision={precision}"]), clouds)
    for batch in session.batches(0):
        session.step(batch)
    assert session.validate()["accuracy"] > 0.9
