import copy
from typing import Any

import pytest
import torch
from torch import Tensor, fx, nn
from torch.nn.utils import parametrizations, parametrize, spectral_norm

from tests.networks import LAW, assert_same
from widthwise.elastic import Elastic

KINDS = pytest.mark.parametrize("normalize", [parametrizations.spectral_norm, spectral_norm])


def make(normalize: Any) -> tuple[nn.Sequential, Tensor]:
    torch.manual_seed(0)
    layers = [normalize(nn.Conv2d(3, 8, 3)), nn.ReLU(), normalize(nn.ConvTranspose2d(8, 6, 2)), nn.ReLU(),
              normalize(nn.Conv2d(6, 3, 1))]  # fmt: skip
    return nn.Sequential(*layers).double(), torch.randn(4, 3, 5, 5, dtype=torch.float64)


@KINDS
def test_a_width_is_a_slice_of_the_divided_weights(normalize: Any) -> None:
    net, x = make(normalize)
    model = Elastic(net, (x,), law=LAW).eval()
    assert model.groups.sizes == {"0": 8, "2": 6}
    model.verify()
    with torch.no_grad(), model.at({"0": 3, "2": 5}):
        # The hook sets the weight of a layer when that is called.
        net(x)
        y = nn.functional.conv2d(x, net[0].weight[:3], net[0].bias[:3]).relu()
        y = nn.functional.conv_transpose2d(y, net[2].weight[:3, :5], net[2].bias[:5]).relu()
        assert_same(model(x), nn.functional.conv2d(y, net[4].weight[:, :5], net[4].bias))


@KINDS
def test_what_is_taken_home_has_plain_weights_of_at_most_norm_1(normalize: Any) -> None:
    net, x = make(normalize)
    model = Elastic(net, (x,), law=LAW)
    for _ in range(30):
        model(x)
    model.eval()
    whole = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    small = model.extract({"0": 3, "2": 5}, form="module")
    with torch.no_grad(), model.at({"0": 3, "2": 5}):
        assert_same(small(x), model(x))
        assert_same(model.extract({"0": 3, "2": 5}, form="graph")(x), model(x))
    assert set(small.state_dict()) == {f"{i}.{name}" for i in (0, 2, 4) for name in ("weight", "bias")}
    assert [type(module) for module in small] == [nn.Conv2d, nn.ReLU, nn.ConvTranspose2d, nn.ReLU, nn.Conv2d]
    assert small.train()(x).requires_grad
    assert float(torch.linalg.matrix_norm(small[0].weight.detach().flatten(1), 2)) <= 1 + 1e-3
    # The network itself keeps its norms and its numbers.
    assert_same(dict(net.state_dict()), whole)
    assert_same(model(x), net(x))


@KINDS
def test_training_at_full_width_is_training_of_the_network_itself(normalize: Any) -> None:
    net, x = make(normalize)
    model = Elastic(net, (x,), law=LAW).train()
    plain = copy.deepcopy(net).train()
    for _ in range(2):
        net.zero_grad()
        plain.zero_grad()
        with model.at(1.0):
            got, expected = model(x), plain(x)
            assert_same(got, expected)
            got.square().sum().backward()
            expected.square().sum().backward()
        assert_same([p.grad for p in net.parameters()], [p.grad for p in plain.parameters()])
        assert_same(dict(net.state_dict()), dict(plain.state_dict()))


@KINDS
def test_a_step_at_drawn_widths_moves_the_vectors_once(normalize: Any) -> None:
    net, x = make(normalize)
    model, plain = Elastic(net, (x,), law=LAW).train(), copy.deepcopy(net).train()
    model(x).square().sum().backward()
    plain(x)
    vectors = [name for name in net.state_dict() if name.endswith(("_u", "_v"))]
    assert len(vectors) == 6
    for name in vectors:
        assert_same(net.state_dict()[name], plain.state_dict()[name])
    assert all(parameter.grad is not None for parameter in net.parameters())


def test_a_module_with_another_parametrization_is_taken_home_as_a_graph() -> None:
    class Double(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return 2 * x

    first = parametrizations.spectral_norm(nn.Linear(5, 8))
    parametrize.register_parametrization(first, "bias", Double())
    net, x = nn.Sequential(first, nn.Linear(8, 3)), torch.randn(4, 5)
    model = Elastic(net, (x,), law=LAW).eval()
    small = model.extract({"0": 4})
    assert isinstance(small, fx.GraphModule)
    with torch.no_grad(), model.at({"0": 4}):
        assert_same(small(x), model(x))


def test_a_layer_that_is_called_twice_is_taken_home_as_a_graph() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.head = parametrizations.spectral_norm(nn.Linear(5, 8)), nn.Linear(8, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.one(x) * self.one(-x))

    x = torch.randn(4, 5)
    model = Elastic(Twice(), (x,), law=LAW).eval()
    small = model.extract({"one": 4})
    assert isinstance(small, fx.GraphModule)
    with torch.no_grad(), model.at({"one": 4}):
        assert_same(small(x), model(x))
    model.train()(x).sum().backward()


def test_a_norm_by_hand_is_taken_home_as_a_graph_also_of_tied_weights() -> None:
    class Divided(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.head = nn.Linear(5, 8), nn.Linear(8, 3)
            self.other = nn.Linear(5, 8)
            self.other.weight = self.one.weight
            self.register_buffer("u", torch.randn(8))
            self.register_buffer("v", torch.randn(5))

        def forward(self, x: Tensor) -> Tensor:
            norm = torch.dot(self.u, torch.mv(self.one.weight, self.v))
            return self.head(nn.functional.linear(x, self.one.weight / norm) + self.other(x))

    x = torch.randn(4, 5)
    model = Elastic(Divided(), (x,), law=LAW).eval()
    small = model.extract({"one": 4})
    assert isinstance(small, fx.GraphModule)
    with torch.no_grad(), model.at({"one": 4}):
        assert_same(small(x), model(x))
