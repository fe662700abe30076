"""Copies, pickles and moves of an elastic model."""

import copy
import io
import pickle
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import nn

from tests.networks import CASES, assert_same, make_generator, make_model
from widthwise.elastic import Elastic, Law

FOUR = Law(lowest=1 / 10)


def through_pickle(model: Elastic) -> Elastic:
    return pickle.loads(pickle.dumps(model))


def through_torch_save(model: Elastic) -> Elastic:
    buffer = io.BytesIO()
    torch.save(model, buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=False)


copies = pytest.mark.parametrize("make_copy", [copy.deepcopy, through_pickle, through_torch_save])


@pytest.fixture(scope="module")
def model() -> Elastic:
    return make_model("mlp-norm", law=replace(FOUR, unit_affine=True))


def sample(batch: int = 8) -> torch.Tensor:
    return CASES["mlp-norm"].sample(batch, make_generator(1), torch.float64)[0][0]


@copies
def test_a_copy_computes_the_same_and_draws_the_same(model: Elastic, make_copy: Callable[[Elastic], Elastic]) -> None:
    x = sample()
    other = make_copy(model)
    with model.eval().at(0.5), other.eval().at(0.5):
        assert_same(other(x), model(x))
    assert_same(other.extract(0.3)(x), model.extract(0.3)(x))
    assert other.law == model.law
    assert other.groups.to_dict() == model.groups.to_dict()
    state = model.state_dict()
    state = {key: value.clone() for key, value in state.items()}
    assert_same(other.train()(x), model.train()(x))
    assert torch.equal(other.generator.get_state(), model.generator.get_state())
    model.eval().load_state_dict(state)
    model.load_elastic_state(model.elastic_state())


@copies
def test_a_copy_owns_its_parameters(model: Elastic, make_copy: Callable[[Elastic], Elastic]) -> None:
    x = sample()
    other = make_copy(model)
    with model.eval().at(0.5):
        expected = model(x)
    own = {tensor.untyped_storage().data_ptr() for tensor in (*other.parameters(), *other.buffers())}
    assert not own & {tensor.untyped_storage().data_ptr() for tensor in (*model.parameters(), *model.buffers())}

    other.train()
    with other.at(0.5):
        other(x).sum().backward()
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.zero_()

    assert all(parameter.grad is None for parameter in model.parameters())
    with model.at(0.5):
        assert_same(model(x), expected)
    with other.eval().at(0.5):
        assert not other(x).any()
    assert other._engine.sliced.net is other.net


def test_a_copy_inside_a_block_keeps_its_widths(model: Elastic) -> None:
    with model.eval().at(0.5):
        other = copy.deepcopy(model)
        assert_same(other(sample()), model(sample()))
    with other.at(1.0):
        assert_same(other(sample()), model(sample()))


def test_an_average_of_models_can_be_kept(model: Elastic) -> None:
    average = torch.optim.swa_utils.AveragedModel(model.eval())
    average.update_parameters(model)
    assert_same(average(sample()), model(sample()))
    with average.module.at(0.5), model.at(0.5):
        assert_same(average(sample()), model(sample()))


def test_a_model_that_was_trained_can_be_copied() -> None:
    model = make_model("mlp", law=FOUR).train()
    (x,), _ = CASES["mlp"].sample(8, make_generator(1), torch.float64)
    model(x).sum().backward()
    other = copy.deepcopy(model)
    assert_same(other(x), model(x))


def test_a_model_moves_to_another_dtype_and_back() -> None:
    model = make_model("mlp-norm", law=replace(FOUR, unit_affine=True)).train()
    x = sample()
    model(x)
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        assert model.to(dtype)(x.to(dtype)).dtype == dtype
        with model.at(0.5):
            assert model(x.to(dtype)).dtype == dtype
        assert model.extract(0.5, form="graph")(x.to(dtype)).dtype == dtype
        assert model.example_batch(3)[0][0].dtype == dtype


class Shifted(nn.Module):
    """Has a table of numbers that is no parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(6, 16), nn.Linear(16, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc2(self.fc1(x)) + torch.tensor([1.0, 2.0, 3.0, 4.0])


def test_inference_mode_may_stand_around_wrapping_and_around_the_first_run_after_a_move() -> None:
    net, x = Shifted().eval(), torch.randn(5, 6)
    with torch.inference_mode():
        model = Elastic(net, (torch.randn(2, 6),))
        with model.at(0.5):
            before = model(x)
    model.double()
    with torch.inference_mode(), model.at(0.5):
        after = model(x.double())
    torch.testing.assert_close(after.float(), before, rtol=0, atol=1e-5)
    # Nothing of that mode stays behind, so that it trains.
    model.train()(x.double()).sum().backward()
