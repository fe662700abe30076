import copy
import inspect
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.networks import CASES, assert_same, make_generator, make_model, reset_model, shared_model
from widthwise._shared import GroupError, TraceError, WidthError
from widthwise.elastic import Elastic, Law
from widthwise.elastic.paper import PaperMLP
from widthwise.zoo.models import MLP

FOUR = Law(lowest=1 / 10)


def sample(name: str = "mlp", batch: int = 4) -> Any:
    args, kwargs = CASES[name].sample(batch, make_generator(1), torch.float64)
    return kwargs or args[0]


# --- building --------------------------------------------------------------------------------------------------------


def test_the_network_is_used_as_it_is() -> None:
    net = MLP([4, 6, 3])
    net.fc1.eval()
    parameters = [id(parameter) for parameter in net.parameters()]
    model = Elastic(net, (torch.randn(2, 4),))
    assert model.net is net
    assert model.training
    assert not net.fc1.training
    assert [id(parameter) for parameter in model.parameters()][: len(parameters)] == parameters
    assert not Elastic(net.eval(), (torch.randn(2, 4),)).training


def test_an_optimiser_made_before_wrapping_trains_the_model() -> None:
    net = MLP([4, 6, 3])
    optimiser = torch.optim.SGD(net.parameters(), lr=0.1)
    before = {key: value.clone() for key, value in net.state_dict().items()}
    model = Elastic(net, (torch.randn(2, 4),)).train()
    model(torch.randn(8, 4)).square().sum().backward()
    optimiser.step()
    assert all(not torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_a_bare_tensor_a_tuple_and_a_dict_are_examples() -> None:
    x = torch.randn(2, 4)
    for example in (x, (x,), {"x_BI": x}):
        model = Elastic(MLP([4, 6, 3]), example)
        assert model.groups.sizes == {"fc1": 6}
        assert model.input_batch_axes == (0,)


def test_the_example_can_be_had_at_any_batch_size() -> None:
    model = shared_model("dict")
    args, kwargs = model.example_batch(7)
    assert args == ()
    assert {name: tuple(value.shape) for name, value in kwargs.items()} == {"x": (7, 4), "mask": (7, 2)}
    assert torch.equal(kwargs["x"][4:], model.example_kwargs["x"][:3])


def test_an_example_of_one_sample_is_enough() -> None:
    model = Elastic(MLP([4, 6, 3]), (torch.randn(1, 4),)).eval()
    with model.at(0.5):
        assert model(torch.randn(5, 4)).shape == (5, 3)


def test_the_batch_may_be_another_axis() -> None:
    class Columns(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.mlp = MLP([4, 6, 3])

        def forward(self, x: Tensor) -> Tensor:
            return self.mlp(x.t()).t()

    model = Elastic(Columns(), (torch.randn(4, 5),), law=FOUR, batch_dim=1)
    assert model.input_batch_axes == (1,)
    x = torch.randn(4, 9)
    assert model.train()(x).shape == (3, 9)
    with model.eval().at(0.5):
        assert_same(model(x), model.extract(0.5)(x))


def test_a_network_without_any_group_is_an_error() -> None:
    with pytest.raises(
        GroupError, match=r"^Linear .*weight\[0\]: output of the model; .*hidden layer between input and"
    ):
        Elastic(nn.Linear(4, 3), (torch.randn(2, 4),))


def test_an_unknown_law_is_an_error() -> None:
    with pytest.raises(WidthError, match=r"^law must be one of default, .*, mrl, or a Law, got 'narrow'; "):
        Elastic(MLP([4, 6, 3]), (torch.randn(2, 4),), law="narrow")


def test_a_network_that_cannot_be_traced_is_an_error() -> None:
    class Branching(MLP):
        def forward(self, x_BI: Tensor) -> Tensor:
            return super().forward(x_BI) if x_BI.sum() > 0 else x_BI

    with pytest.raises(TraceError, match="Branching"):
        Elastic(Branching([4, 6, 4]), (torch.randn(2, 4),))


def test_a_network_may_be_traced_by_reading_its_code() -> None:
    class Rectified(MLP):
        def forward(self, x_BI: Tensor) -> Tensor:
            return super().forward(torch.from_numpy(np.maximum(x_BI.numpy(), 0)))

    x = torch.randn(3, 4)
    model = Elastic(Rectified([4, 6, 3]), (x,), strict=True).eval()
    for each in (model, copy.deepcopy(model)):
        with each.at(0.5):
            assert_same(each(x), model.extract(0.5)(x))


def test_the_law_and_the_groups_are_printed() -> None:
    text = repr(shared_model("mlp"))
    assert text.splitlines()[1].startswith("  groups=(fc1: 10, fc2: 7), law=Law(distribution='log_uniform', ")
    assert "(net): MLP(" in text


# --- calling ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [True, False])
def test_inputs_may_be_given_by_position_or_keyword_in_any_order(mode: bool) -> None:
    model, inputs = reset_model("dict").train(mode), sample("dict")
    x, mask = inputs["x"], inputs["mask"]
    with model.at(0.5):
        expected = model(x=x, mask=mask)
        for got in (model(x, mask), model(x, mask=mask), model(mask=mask, x=x)):
            assert_same(got, expected)
    pair = shared_model("pair").eval()
    args, _ = CASES["pair"].sample(3, make_generator(1), torch.float64)
    with pair.at(0.5):
        assert_same(pair(other=args[1], one=args[0]), pair(*args))


def test_other_inputs_than_those_of_the_example_are_an_error() -> None:
    model = shared_model("dict").eval()
    with model.at(0.5), pytest.raises(TraceError):
        model(**sample("dict"), scale=3.0)
    with model.at(0.5), pytest.raises(TraceError):
        model(sample("dict")["x"])


def test_an_input_of_another_shape_is_the_same_error_at_every_width() -> None:
    model = make_model("mlp").eval()
    wrong = torch.zeros(2, 9, dtype=torch.float64)
    with model.at(0.5), pytest.raises(TraceError) as narrow:
        model(wrong)
    with pytest.raises(TraceError) as full:
        model(wrong)
    assert str(full.value) == str(narrow.value)


def test_an_error_of_the_network_itself_comes_through() -> None:
    model = make_model("mlp").eval()
    model.net.register_forward_hook(lambda *_: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        model(sample("mlp")[0] if isinstance(sample("mlp"), tuple) else sample("mlp"))


def test_at_full_width_in_evaluation_the_network_itself_is_called_hooks_and_all() -> None:
    model = make_model("mlp")
    calls: list[str] = []
    model.net.fc1.register_forward_hook(lambda *_: calls.append("layer"))
    model.register_forward_hook(lambda *_: calls.append("model"))
    model(sample())
    with model.at(1.0):
        model(sample())
    assert calls == ["layer", "model"] * 2
    with model.at(0.5):
        model(sample())
    assert calls == ["layer", "model"] * 2 + ["model"]


def test_widths_hold_inside_the_block_nest_and_are_restored() -> None:
    model, x = shared_model("mlp").eval(), sample()
    half, small = model.extract(0.5)(x), model.extract(0.2)(x)
    with model.at(0.5) as inside:
        assert inside is model
        assert_same(model(x), half)
        with model.at(0.2):
            assert_same(model(x), small)
        assert_same(model(x), half)
        with pytest.raises(ZeroDivisionError), model.at(0.2):
            _ = 1 / 0
        assert_same(model(x), half)
    assert_same(model(x), model.net(x))


def test_a_wrong_width_is_an_error_before_the_block() -> None:
    with pytest.raises(WidthError, match=r"^a width must be a fraction in \(0, 1\]"):
        shared_model("mlp").at(4)
    with pytest.raises(WidthError, match=r"must lie in \(0, 1\], got 0.0"):
        shared_model("mlp").extract(0.0)
    with pytest.raises(WidthError, match=r"^kept must lie in \[1, 10\] \(width of fc1\), got 11; "):
        shared_model("mlp").macs({"fc1": 11})


@pytest.mark.parametrize("ask", [lambda model: model.at(0.01), lambda model: model.extract(0.01)])
def test_a_width_below_what_the_law_draws_is_warned_of_here(ask: Any) -> None:
    model = Elastic(MLP([4, 64, 3]), (torch.randn(2, 4),))
    with pytest.warns(UserWarning, match="^the law draws at least 2 units of fc1") as caught:
        ask(model)
    assert caught[0].filename == inspect.getfile(sample)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.extract(1 / 32)
        model.macs(0.01)


# --- training --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch", [1, 2, 3])
def test_a_batch_smaller_than_the_chunks_runs_at_some_of_the_drawn_widths(batch: int) -> None:
    model, x = reset_model("mlp", FOUR), sample(batch=batch)
    generator = torch.Generator()
    chosen = []
    for _ in range(30):
        generator.set_state(model.generator.get_state())
        draws = model.law.draw(model.groups.sizes, generator)
        order = sorted(torch.randperm(4, generator=generator)[:batch].tolist())
        outputs = model(x)
        for i, row, expected in zip(order, x.split(1), outputs.split(1), strict=True):
            with model.at(draws[i]):
                assert_same(model(row), expected)
        chosen += order
    assert set(chosen) == {0, 1, 2, 3}


def test_outputs_of_a_loss_inside_are_averaged_by_the_number_of_samples() -> None:
    model = reset_model("loss", FOUR)
    args, _ = CASES["loss"].sample(10, make_generator(1), torch.float64)
    generator = torch.Generator()
    generator.set_state(model.generator.get_state())
    draws = model.law.draw(model.groups.sizes, generator)
    expected = torch.zeros((), dtype=torch.float64)
    for draw, x, labels in zip(draws, args[0].split([3, 3, 2, 2]), args[1].split([3, 3, 2, 2]), strict=True):
        with model.at(draw):
            expected = expected + len(x) / 10 * model(x, labels)
    assert_same(model(*args), expected)


def test_frozen_parameters_get_no_gradient() -> None:
    model = make_model("mlp", law=FOUR).train()
    model.net.fc2.requires_grad_(False)
    model(sample(batch=8)).sum().backward()
    assert {name for name, parameter in model.net.named_parameters() if parameter.grad is None} == {
        "fc2.weight", "fc2.bias",
    }  # fmt: skip


def test_a_step_under_no_grad_makes_no_graph() -> None:
    model = reset_model("mlp", FOUR)
    with torch.no_grad():
        assert model(sample(batch=8)).grad_fn is None


def test_a_network_in_bfloat16_trains_and_extracts() -> None:
    net = MLP([6, 10, 7, 3], batch_norm=True).to(torch.bfloat16)
    x = torch.randn(8, 6, dtype=torch.bfloat16)
    model = Elastic(net, (x,), law=FOUR).train()
    outputs = model(x)
    outputs.float().sum().backward()
    assert outputs.dtype == torch.bfloat16
    assert all(parameter.grad.dtype == torch.bfloat16 for parameter in model.parameters())
    assert type(model.extract(0.5)) is MLP
    with model.eval().at(0.5):
        assert_same(model.extract(0.5)(x), model(x))


def test_a_network_that_is_extracted_in_inference_mode_can_be_trained() -> None:
    x = sample()
    for form in ("module", "graph"):
        with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
            small = shared_model("mlp").extract(0.5, form=form)
        small(x).sum().backward()
        assert all(parameter.grad is not None for parameter in small.parameters())


def test_input_gradients_reach_every_chunk() -> None:
    model, x = reset_model("mlp", FOUR), sample(batch=8).requires_grad_()
    generator = torch.Generator()
    generator.set_state(model.generator.get_state())
    draws = model.law.draw(model.groups.sizes, generator)
    model(x).sum().backward()
    for draw, part, grad in zip(draws, x.detach().split(2), x.grad.split(2), strict=True):
        part.requires_grad_()
        with model.at(draw):
            model(part).sum().backward()
        assert_same(grad, part.grad)


@pytest.mark.parametrize("seed", range(3))
def test_the_paper_law_on_an_mlp_gives_the_numbers_of_the_paper(seed: int) -> None:
    sizes = (6, 20, 15, 4)
    generator = make_generator(seed)
    paper = PaperMLP(sizes, generator=make_generator(0)).double().train()
    net = MLP(sizes, activation="leaky_relu").double().train()
    with torch.no_grad():
        for own, theirs in zip(net.parameters(), paper.parameters(), strict=True):
            own.copy_(theirs)
    x = torch.randn(7, 6, generator=generator, dtype=torch.float64)
    model = Elastic(net, (x,), law="paper", generator=make_generator(seed))
    for _ in range(4):
        state = model.generator.get_state()
        (draw,) = model.law.draw(model.groups.sizes, model.generator)
        model.generator.set_state(state)
        paper._cut = lambda width, draw=draw: {20: draw["fc1"], 15: draw["fc2"]}[width]
        outputs, expected = model(x), paper(x)
        assert_same(outputs, expected)
        net.zero_grad()
        paper.zero_grad()
        outputs.square().sum().backward()
        expected.square().sum().backward()
        for own, theirs in zip(net.parameters(), paper.parameters(), strict=True):
            assert_same(own.grad, theirs.grad)


# --- costs -----------------------------------------------------------------------------------------------------------


def test_macs_are_those_of_the_shapes() -> None:
    model = shared_model("mlp")
    assert model.macs() == 6 * 10 + 10 * 7 + 7 * 3
    assert model.macs({"fc1": 4, "fc2": 2}) == 6 * 4 + 4 * 2 + 2 * 3


def test_training_costs_what_is_stated() -> None:
    model = Elastic(MLP([784, 256, 256, 10]), (torch.zeros(2, 784),))
    before = model.generator.get_state()
    assert model.training_macs() / model.macs() == pytest.approx(0.275, abs=0.01)
    split = Elastic(model.net, (torch.zeros(2, 784),), law="log_uniform")
    assert split.training_macs() / split.macs() == pytest.approx(0.435, abs=0.01)
    assert torch.equal(model.generator.get_state(), before)
    assert model.training_macs(num_draws=3) == model.training_macs(num_draws=3)


def test_groups_are_verified() -> None:
    assert shared_model("mlp").eval().verify(num_widths=1).is_sound
