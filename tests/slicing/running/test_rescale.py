from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from tests.networks import assert_same, draw_widths, make_generator, make_model, randomize
from widthwise._shared import WidthError
from widthwise.elastic import Elastic, Law
from widthwise.elastic.laws.law import Rescale as Kind
from widthwise.zoo.models import MLP

kinds = pytest.mark.parametrize("kind", ["sqrt", "inverse"])


class Joined(nn.Module):
    """A layer that reads two groups side by side."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.other, self.head = nn.Linear(4, 6), nn.Linear(4, 3), nn.Linear(9, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.cat([torch.relu(self.one(x)), torch.tanh(self.other(x))], 1))


class Twice(nn.Module):
    """A hidden layer that runs twice, with units on both sides."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.twice, self.head = nn.Linear(4, 6), nn.Linear(6, 6), nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.relu(self.twice(torch.relu(self.twice(torch.relu(self.one(x)))))))


def make(net: nn.Module, kind: Kind, inputs: int = 4) -> Elastic:
    net = net.double().eval()
    randomize(net, 0)
    law = Law(lowest=1e-6, rescale=kind)
    return Elastic(net, (torch.zeros(2, inputs, dtype=torch.float64),), law=law)


@kinds
@pytest.mark.parametrize("seed", range(6))
def test_rescaled_weights_are_multiplied_activations(kind: Kind, seed: int) -> None:
    model = make(MLP([4, 10, 7, 3]), kind)
    net, widths = model.net, draw_widths(model, seed)
    x = torch.randn(5, 4, generator=make_generator(seed), dtype=torch.float64)
    with model.at(widths):
        got = model(x)

    hidden = x
    for layer, reader in ((net.fc1, "fc1"), (net.fc2, "fc2")):
        kept, full = widths[reader], layer.out_features
        hidden = torch.relu(nn.functional.linear(hidden, layer.weight[:kept, : hidden.shape[1]], layer.bias[:kept]))
        hidden = hidden * model.law.factor(full, kept)
    assert_same(got, nn.functional.linear(hidden, net.head.weight[:, : hidden.shape[1]], net.head.bias))
    assert_same(model.extract(widths)(x), got)
    assert_same(model.extract(widths, form="graph")(x), got)


@kinds
@pytest.mark.parametrize("kept", [1, 3, 6])
def test_segments_read_by_one_layer_have_a_factor_each(kind: Kind, kept: int) -> None:
    model = make(Joined(), kind)
    net, x = model.net, torch.randn(5, 4, generator=make_generator(0), dtype=torch.float64)
    with model.at({"one": kept, "other": 2}):
        got = model(x)

    one = torch.relu(net.one(x))[:, :kept] * model.law.factor(6, kept)
    other = torch.tanh(net.other(x))[:, :2] * model.law.factor(3, 2)
    weight = torch.cat([net.head.weight[:, :kept], net.head.weight[:, 6:8]], 1)
    assert_same(got, nn.functional.linear(torch.cat([one, other], 1), weight, net.head.bias))


@kinds
def test_a_layer_that_runs_twice_is_rescaled_each_time(kind: Kind) -> None:
    model = make(Twice(), kind)
    net, x = model.net, torch.randn(5, 4, generator=make_generator(0), dtype=torch.float64)
    factor = model.law.factor(6, 2)
    with model.at({"one": 2}):
        got = model(x)

    hidden = torch.relu(net.one(x))[:, :2]
    for _ in range(2):
        hidden = torch.relu(nn.functional.linear(factor * hidden, net.twice.weight[:2, :2], net.twice.bias[:2]))
    assert_same(got, nn.functional.linear(factor * hidden, net.head.weight[:, :2], net.head.bias))


@kinds
def test_grouped_convolutions_are_rescaled_over_what_they_sum(kind: Kind) -> None:
    net = nn.Sequential(nn.Conv2d(2, 6, 1), nn.Conv2d(6, 4, 1, groups=2), nn.Conv2d(4, 3, 1)).double()
    randomize(net, 0)
    x = torch.randn(2, 2, 3, 3, generator=make_generator(0), dtype=torch.float64)
    model = Elastic(net, (x,), law=Law(lowest=1e-6, rescale=kind))
    assert model.groups.sizes == {"0.0": 2, "0.1": 3, "1": 2}
    with model.at({"0.1": 1}):
        got = model(x)

    hidden = net[0](x)[:, [0, 3]] * model.law.factor(3, 1)
    assert_same(got, net[2](nn.functional.conv2d(hidden, net[1].weight[:, :1], net[1].bias, groups=2)))


@kinds
@pytest.mark.filterwarnings("ignore:the law draws at least")
def test_groups_of_a_transposed_convolution_are_carried_and_not_summed_over(kind: Kind) -> None:
    net = nn.Sequential(nn.Conv2d(2, 6, 1), nn.ConvTranspose2d(6, 4, 1, groups=2), nn.Conv2d(4, 3, 1)).double()
    randomize(net, 0)
    x = torch.randn(2, 2, 3, 3, generator=make_generator(0), dtype=torch.float64)
    model = Elastic(net, (x,), law=Law(lowest=1e-6, rescale=kind))
    assert model.groups.sizes == {"0.0": 2, "0.1": 3, "1": 2}
    with model.at({"0.0": 1, "0.1": 2}):
        got = model(x)

    hidden = net[0](x)[:, [0, 1]] * model.law.factor(3, 2)
    hidden = nn.functional.conv_transpose2d(hidden, net[1].weight[:2], net[1].bias[:2])
    hidden = hidden * model.law.factor(2, 1)
    assert_same(got, nn.functional.conv2d(hidden, net[2].weight[:, :2], net[2].bias))


@kinds
def test_segments_within_groups_have_a_factor_each(kind: Kind) -> None:
    class Grouped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.other = nn.Linear(4, 3), nn.Linear(4, 2)
            self.outer, self.up, self.head = nn.Linear(4, 2), nn.ConvTranspose1d(10, 2, 1, groups=2), nn.Linear(2, 2)

        def forward(self, x: Tensor) -> Tensor:
            inner = torch.cat([self.one(x), self.other(x)], 1)
            return self.head(self.up((self.outer(x)[:, :, None] * inner[:, None]).flatten(1)[:, :, None])[:, :, 0])

    model = make(Grouped(), kind)
    net, x = model.net, torch.randn(5, 4, generator=make_generator(0), dtype=torch.float64)
    assert model.groups.sizes == {"one": 3, "other": 2, "outer": 2}
    with model.at({"outer": 1, "one": 2, "other": 1}):
        got = model(x)

    one, other = net.one(x)[:, :2] * model.law.factor(3, 2), net.other(x)[:, :1] * model.law.factor(2, 1)
    hidden = net.outer(x)[:, :1] * torch.cat([one, other], 1) @ net.up.weight[[0, 1, 3], 0] + net.up.bias[:1]
    assert_same(got, nn.functional.linear(hidden * model.law.factor(2, 1), net.head.weight[:, :1], net.head.bias))


@kinds
def test_gradients_pass_through_the_factor(kind: Kind) -> None:
    model = make(MLP([4, 10, 3]), kind).train()
    x = torch.randn(5, 4, generator=make_generator(0), dtype=torch.float64)
    with model.at(0.5):
        model(x).sum().backward()
    hidden = torch.relu(model.net.fc1(x))[:, :5] * model.law.factor(10, 5)
    assert_same(model.net.head.weight.grad[:, :5], hidden.sum(0).expand(3, 5))
    assert not model.net.head.weight.grad[:, 5:].any()


def test_full_width_is_not_rescaled() -> None:
    model = make(MLP([4, 10, 3]), "inverse")
    x = torch.randn(5, 4, generator=make_generator(0), dtype=torch.float64)
    assert torch.equal(model.extract(1.0, form="graph")(x), model.net(x))


def test_units_summed_over_without_a_weight_are_an_error() -> None:
    class Gram(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.head = nn.Linear(4, 6), nn.Linear(4, 2)

        def forward(self, x: Tensor) -> Tensor:
            hidden = self.one(x[:, None] * torch.ones(4, 1, dtype=x.dtype))
            return self.head((hidden @ hidden.transpose(1, 2)).sum(1))

    with pytest.raises(WidthError) as caught:
        make(Gram(), "inverse")
    assert str(caught.value) == (
        "a rescaled law needs units to be summed over by weights, but matmul sums over them with transpose, which the "
        "network computes; use rescale='none'"
    )


def test_a_weight_that_is_used_in_two_ways_is_an_error() -> None:
    with pytest.raises(WidthError) as caught:
        make_model("tokens", law=Law(lowest=1e-6, rescale="sqrt"))
    assert str(caught.value) == (
        "a rescaled law needs head.weight to be used in one way only, but embedding uses it in another; use "
        "rescale='none'"
    )


def test_a_weight_that_is_read_along_two_axes_is_an_error() -> None:
    class Transposed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.head = nn.Linear(4, 6), nn.Linear(6, 2)
            self.square = nn.Parameter(torch.randn(6, 6))

        def forward(self, x: Tensor) -> Tensor:
            hidden = torch.relu(self.one(x))
            return self.head(nn.functional.linear(hidden, self.square) + hidden @ self.square)

    with pytest.raises(WidthError, match=r"needs square to be used in one way only, but matmul uses it in another; "):
        make(Transposed(), "sqrt")


@pytest.mark.parametrize(
    ("operator", "function"),
    [
        ("einsum", lambda net, y: torch.einsum("bi,oi->bo", y, net.square)),
        ("bilinear", lambda net, y: nn.functional.bilinear(y, y, net.cube)),
        ("scaled_dot_product_attention", lambda _, y: nn.functional.scaled_dot_product_attention(
            y[:, None], y[:, None], y[:, None])[:, 0]),
    ],
    ids=["einsum", "bilinear", "attention"],
)  # fmt: skip
def test_units_summed_over_by_an_operator_that_names_no_weight_are_an_error(
    operator: str, function: Callable[[nn.Module, Tensor], Tensor]
) -> None:
    class Summed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.head = nn.Linear(4, 6), nn.Linear(6, 2)
            self.square, self.cube = nn.Parameter(torch.randn(6, 6)), nn.Parameter(torch.randn(6, 6, 6))

        def forward(self, x: Tensor) -> Tensor:
            return self.head(torch.relu(function(self, torch.relu(self.one(x)))))

    with pytest.raises(WidthError) as caught:
        make(Summed(), "inverse")
    assert str(caught.value) == (
        f"a rescaled law needs units to be summed over by one weight, but {operator} sums over them in another way; "
        "use rescale='none'"
    )
