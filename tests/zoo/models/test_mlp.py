from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from widthwise._shared import RecipeError
from widthwise.zoo import MLP
from widthwise.zoo.models import Activation


@settings(deadline=None, max_examples=20)
@given(
    sizes=st.lists(st.integers(1, 9), min_size=2, max_size=5),
    batch=st.integers(2, 5),
    activation=st.sampled_from(["relu", "leaky_relu"]),
    batch_norm=st.booleans(),
)
def test_output_has_one_row_per_sample_and_one_column_per_output(
    sizes: list[int], batch: int, activation: Activation, batch_norm: bool
) -> None:
    net = MLP(sizes, activation=activation, batch_norm=batch_norm)
    assert net(torch.ones(batch, sizes[0])).shape == (batch, sizes[-1])
    assert sum(isinstance(module, nn.BatchNorm1d) for module in net.modules()) == (len(sizes) - 2) * batch_norm


def test_forward_is_the_formula_of_a_perceptron() -> None:
    generator = torch.Generator().manual_seed(0)
    net = MLP([6, 5, 4, 3]).double()
    x = torch.randn(7, 2, 3, generator=generator, dtype=torch.float64)
    weights = net.state_dict()
    out = x.reshape(7, 6)
    for name in ("fc1", "fc2"):
        out = (out @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]).clamp(min=0)
    out = out @ weights["head.weight"].T + weights["head.bias"]
    torch.testing.assert_close(net(x), out, rtol=1e-12, atol=1e-12)


def test_negative_values_survive_only_the_leaky_activation() -> None:
    x = torch.full((1, 1), -1.0)
    relu, leaky = MLP([1, 1, 1]), MLP([1, 1, 1], activation="leaky_relu")
    for net in (relu, leaky):
        for parameter in net.parameters():
            nn.init.constant_(parameter, 1.0)
        net.get_submodule("fc1").bias = None
    assert relu(x).item() == 1.0
    assert leaky(x).item() == pytest.approx(1.0 - 0.01)


def test_modules_are_named_in_the_order_in_which_they_run() -> None:
    names = [name for name, _ in MLP([4, 3, 3, 2], batch_norm=True).named_children()]
    assert names == ["flatten", "fc1", "norm1", "activation1", "fc2", "norm2", "activation2", "head"]
    assert [name for name, _ in MLP([4, 2]).named_children()] == ["flatten", "head"]


def test_parameters_start_as_those_of_plain_linear_layers() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        net = MLP([5, 4, 2])
        torch.manual_seed(3)
        layers = [nn.Linear(5, 4), nn.Linear(4, 2)]
    expected = [parameter for layer in layers for parameter in layer.parameters()]
    assert all(torch.equal(mine, plain) for mine, plain in zip(net.parameters(), expected, strict=True))


@pytest.mark.slow  # The first export of a process imports its compiler.
@pytest.mark.parametrize("batch_norm", [False, True])
def test_export_traces_it_with_any_batch(batch_norm: bool) -> None:
    net = MLP([784, 16, 12, 10], batch_norm=batch_norm).eval()
    batch = torch.export.Dim("batch")
    program = torch.export.export(net, (torch.zeros(2, 1, 28, 28),), dynamic_shapes=({0: batch},), strict=False)
    x = torch.rand(5, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(program.module()(x), net(x))


@pytest.mark.parametrize("sizes", [[], [784], [784, 0, 10], [784, 25.6, 10], [784, True, 10], "784", 784])
def test_sizes_that_are_no_sizes_are_an_error(sizes: Any) -> None:
    with pytest.raises(RecipeError) as caught:
        MLP(sizes)
    assert str(caught.value) == (
        f"sizes must be two or more positive integers (input, hidden layers, output), got {sizes!r}; "
        "write for example [784, 256, 256, 10]"
    )


@pytest.mark.parametrize("sizes", [[4, 3, 2], [4, 2]])
def test_an_unknown_activation_is_an_error(sizes: list[int]) -> None:
    with pytest.raises(RecipeError) as caught:
        MLP(sizes, activation="tanh")  # pyright: ignore[reportArgumentType]
    assert str(caught.value) == "activation must be one of relu, leaky_relu, got 'tanh'; use one of these"
