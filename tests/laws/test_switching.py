"""What is held from one run at a width to the next depends on numbers alone: whatever became of the weights is seen."""

import threading
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from tests.networks import CASES, assert_same, make_generator, make_model
from widthwise.elastic import Elastic
from widthwise.slicing.running.cut import MOST_HELD

NAMES = ["mlp", "resnet", "join", "tokens"]


def inputs_of(name: str, dtype: torch.dtype = torch.float64) -> tuple[Tensor, ...]:
    return CASES[name].sample(4, make_generator(1), dtype)[0]


def train(model: Elastic) -> None:
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    optimizer.zero_grad()


def load(model: Elastic) -> None:
    model.load_state_dict({name: 2 * tensor for name, tensor in model.state_dict().items()})


def replace(model: Elastic) -> None:
    for parameter in model.parameters():
        parameter.data = parameter.data + 0.5


def write_past_autograd(model: Elastic) -> None:
    for parameter in model.parameters():
        parameter.data.mul_(1.5)


def convert(model: Elastic) -> None:
    write_past_autograd(model.float())


@pytest.mark.parametrize("change", [train, load, replace, write_past_autograd, convert])
@pytest.mark.parametrize("name", NAMES)
def test_a_run_sees_what_became_of_the_weights(name: str, change: Callable[[Elastic], None]) -> None:
    model, inputs = make_model(name), inputs_of(name)
    with torch.inference_mode(), model.at(0.5):
        before = model(*inputs)
    change(model)
    dtype = next(model.parameters()).dtype
    inputs = inputs_of(name, dtype)
    for mode in (torch.enable_grad, torch.no_grad, torch.inference_mode):
        with mode(), model.at(0.5):
            after = model(*inputs)
        assert_same(after, model.extract(0.5)(*inputs))
        assert not torch.allclose(before.to(dtype), after, atol=1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_a_run_that_learns_may_follow_one_that_does_not(name: str) -> None:
    model, inputs = make_model(name), inputs_of(name)
    for _ in range(2):
        with torch.inference_mode(), model.at(0.5):
            model(*inputs)
    with model.at(0.5):
        model(*inputs).sum().backward()
    assert any(bool(parameter.grad.any()) for parameter in model.parameters() if parameter.grad is not None)


def test_few_widths_are_held() -> None:
    model = make_model("mlp")
    layout = model.engine.sliced.evaluation._layout
    with torch.inference_mode():
        for one in range(1, 11):
            for other in range(1, 8):
                with model.at({"fc1": one, "fc2": other}):
                    model(*inputs_of("mlp"))
    assert len(layout._held) == MOST_HELD


def test_threads_run_models_of_one_network_at_widths_of_their_own() -> None:
    models = [make_model("join") for _ in range(3)]
    inputs, wrong = inputs_of("join"), []

    def run(model: Elastic, width: float) -> None:
        expected = model.extract(width)(*inputs)
        for _ in range(20):
            with torch.no_grad(), model.at(width):
                if not torch.allclose(model(*inputs), expected):
                    wrong.append(width)

    threads = [threading.Thread(target=run, args=each) for each in zip(models, (0.3, 0.6, 0.9), strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_traced_run_leaves_nothing_of_the_trace_behind() -> None:
    model, inputs = make_model("join"), inputs_of("join")

    class AtHalf(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, x: Tensor) -> Tensor:
            with self.model.at(0.5):
                return self.model(x)

    mode = torch._subclasses.fake_tensor.FakeTensorMode(allow_non_fake_inputs=True)
    with mode, torch.no_grad():
        AtHalf()(mode.from_tensor(inputs[0]))
    with model.at(0.5):
        assert_same(model(*inputs), model.extract(0.5)(*inputs))
