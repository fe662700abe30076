"""A training that breaks: the words, and what is left of it."""

import re

import pytest
import torch

from tests.training.conftest import TINY
from widthwise._shared import TrainingError
from widthwise.training import parse_recipe
from widthwise.training.divergence import measure_gradients
from widthwise.training.session import Session
from widthwise.zoo import DataSplits

GRID = ["widths=[0.25, 0.5, 1.0]", "chunks=3", "model.settings.batch_norm=true"]
AT = "at epoch 1, step 2"
DO = "(learning rate 0.00324); lower training.learning_rate or set training.grad_clip"


def make_session(clouds: DataSplits, *overrides: str) -> Session:
    session = Session.start(parse_recipe(TINY, overrides=[*GRID, *overrides]), clouds)
    session.step(next(session.batches(0)))
    return session


def state_of(session: Session) -> dict[str, torch.Tensor]:
    moments = session.optimiser.state_dict()["state"]
    tensors = {f"{i} {name}": value for i, each in moments.items() for name, value in each.items()}
    tensors |= {**session.model.state_dict(), "generator": session.model.generator.get_state()}
    return {name: value.clone() for name, value in tensors.items()}


def break_step(session: Session) -> str:
    """Return the words of a step that breaks, which must leave all as it is."""
    _, batch, *_ = session.batches(0)
    before = state_of(session)
    with pytest.raises(TrainingError) as caught:
        session.step(batch)
    torch.testing.assert_close(state_of(session), before, rtol=0, atol=0, equal_nan=True)
    assert all(parameter.grad is None for parameter in session.model.parameters())
    return re.sub(r"\(learning rate [^)]*\)", "(learning rate 0.00324)", str(caught.value))


@pytest.mark.parametrize(("unit", "where"), [(31, ", at width 1 (fc1: 32, fc2: 32)"), (0, ", at every width")])
def test_a_loss_that_is_not_finite_names_its_widths(clouds: DataSplits, unit: int, where: str) -> None:
    session = make_session(clouds)
    with torch.no_grad():
        session.model.net.get_parameter("fc2.bias")[unit] = torch.nan
    assert break_step(session) == f"expected a finite loss, got nan {AT}{where} {DO}"


def test_gradients_that_are_not_finite_stop_a_training_before_the_weights_are_spoilt(clouds: DataSplits) -> None:
    session = make_session(clouds)
    session.model.net.get_parameter("fc1.weight").register_hook(lambda gradient: gradient * torch.inf)
    message = break_step(session)
    assert re.fullmatch(
        rf"expected finite gradients, got some of norm (nan|inf) at loss 1\.\d+ {AT}, at every width {re.escape(DO)}",
        message,
    )


def test_a_plain_training_has_no_widths_to_name(clouds: DataSplits) -> None:
    session = Session.start(parse_recipe(TINY, overrides=["method=plain"]), clouds)
    session.step(next(session.batches(0)))
    with torch.no_grad():
        session.model.net.get_parameter("fc2.bias").fill_(torch.nan)
    assert break_step(session) == f"expected a finite loss, got nan {AT} {DO}"


def test_a_list_of_many_widths_and_groups_is_cut_short(clouds: DataSplits) -> None:
    session = make_session(clouds, "model.settings.sizes=[4, 8, 8, 8, 8, 32, 3]", "chunks=6", "widths=11")
    with torch.no_grad():
        session.model.net.get_parameter("fc5.bias")[9] = torch.nan
    words = break_step(session)
    assert words.startswith(f"expected a finite loss, got nan {AT}, at width 1 (fc1: 8, fc2: 8, fc3: 8, fc4: 8, ...), ")
    assert words.count("fc1") == 3
    assert "...), ... (learning rate" in words


@pytest.mark.parametrize("max_norm", [None, 0.5, 50.0])
def test_the_norm_of_gradients_is_that_before_clipping(max_norm: float | None) -> None:
    net = torch.nn.Linear(2, 1, bias=False)
    net.weight.grad = torch.tensor([[3.0, 4.0]])
    assert float(measure_gradients(net, max_norm)) == 5.0
    left = 5.0 if max_norm is None else min(5.0, max_norm)
    assert float(net.weight.grad.norm()) == pytest.approx(left, rel=1e-5)
