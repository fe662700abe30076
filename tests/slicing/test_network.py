import copy
import pickle
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.networks import assert_same, kept_of, make_model
from widthwise._shared import GroupError, TraceError
from widthwise.elastic import Elastic
from widthwise.graph import Example
from widthwise.slicing import SlicedNetwork
from widthwise.slicing import network as network_module
from widthwise.zoo.models import MLP


def make_network() -> SlicedNetwork:
    return SlicedNetwork(MLP([4, 6, 3], batch_norm=True), Example(args=(torch.zeros(2, 4),), kwargs={}))


class Moody(nn.Module):
    """Uses its units in training in a way that ties them down."""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.other, self.head = nn.Linear(4, 6), nn.Linear(4, 6), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        hidden = torch.relu(self.fc(x))
        if self.training:
            hidden = hidden.flip(-1)
        return self.head(hidden)


def test_a_network_is_traced_once_per_mode() -> None:
    network = make_network()
    network.net.eval()
    assert network.current is network.evaluation
    network.net.train()
    training = network.current
    assert training is network.current
    assert training is not network.evaluation
    assert training.program.trace.training
    network.net.norm1.eval()
    assert network.current not in (training, network.evaluation)
    assert not network.current.normalizes_batches
    network.net.norm1.train()
    assert network.current is training


def test_tracing_leaves_the_modes_as_they_were() -> None:
    network = make_network()
    network.net.train()
    network.net.norm1.eval()
    _ = network.current
    assert network.net.training
    assert not network.net.norm1.training


def test_all_modes_share_the_terms_of_the_parameters() -> None:
    network = make_network()
    network.net.train()
    axes = dict(
        zip((entry.target for entry in network.current.program.state), network.current.program.axes, strict=True)
    )
    for entry, terms in zip(network.evaluation.program.state, network.evaluation.program.axes, strict=True):
        assert axes[entry.target] == terms


def test_kept_sets_are_named_by_atom() -> None:
    network = make_network()
    (group,) = network.groups
    assert network.kept({"fc1": 2}) == {group.key: 2}
    assert network.kept({}) == {}


def test_units_that_training_ties_down_are_an_error_and_nothing_is_lost() -> None:
    model = Elastic(Moody(), (torch.randn(4, 4),))
    x = torch.randn(5, 4)
    small, macs = model.extract(0.5), model.macs(0.5)
    for _ in range(2):
        with pytest.raises(
            GroupError, match=r"^group fc must have free units in every mode, but in training mode it is "
        ):
            model.train()(x)
    with model.eval().at(0.5):
        assert_same(model(x), small(x))
    assert model.groups.sizes == {"fc": 6}
    assert model.macs(0.5) == macs


@pytest.mark.parametrize("move", ["double", "replace", "assign"])
def test_widths_still_hold_where_parameters_moved_before_the_first_training_step(move: str) -> None:
    model = make_model("mlp", torch.float32)
    dtype = torch.float32
    if move == "double":
        model.net.double()
        dtype = torch.float64
    elif move == "replace":
        for parameter in model.parameters():
            parameter.data = parameter.data.clone()
    else:
        model.load_state_dict({key: value.clone() for key, value in model.state_dict().items()}, assign=True)
    model.train()
    with model.at({"fc1": 3, "fc2": 2}):
        model(torch.randn(4, 6, dtype=dtype)).sum().backward()
    assert not model.net.fc1.weight.grad[3:].any()
    assert model.net.fc1.weight.grad[:3].any()
    assert model._engine.sliced.current.cut_state(kept_of(model, {"fc1": 3, "fc2": 2}))[0].shape == (3, 6)


def test_a_network_in_another_dtype_is_followed() -> None:
    model = make_model("mlp", torch.float32)
    x = torch.randn(3, 6, dtype=torch.float64)
    model.double()
    assert model.example_args[0].dtype == torch.float64
    with model.at(0.5):
        assert_same(model(x), model.extract(0.5)(x))
        assert model(x).dtype == torch.float64
    assert_same(model.extract(0.5, form="graph")(x), model.extract(0.5, form="module")(x))
    model.float()
    assert model.example_args[0].dtype == torch.float32
    assert model.extract(0.5)(x.float()).dtype == torch.float32


def test_whole_numbers_of_an_example_keep_their_dtype() -> None:
    model = make_model("tokens", torch.float32)
    model.double()
    assert model.example_args[0].dtype == torch.int64
    assert model.extract(0.5)(model.example_args[0]).dtype == torch.float64


def test_autocast_and_no_grad_around_the_first_step_are_not_traced() -> None:
    model = make_model("mlp", torch.float32).train()
    x = torch.randn(4, 6)
    with torch.autocast("cpu", dtype=torch.bfloat16), torch.no_grad(), model.at(0.5):
        assert model(x).dtype == torch.bfloat16
    with model.at(0.5):
        assert model(x).dtype == torch.float32
    assert "_to_copy" not in model._engine.sliced.current.program.module.code


def test_inference_mode_around_the_first_step_is_not_traced() -> None:
    model = make_model("mlp", torch.float32).train()
    x = torch.randn(4, 6)
    with torch.inference_mode(), model.at(0.5):
        expected = model(x).clone()
    with model.at(0.5):
        outputs = model(x)
    outputs.sum().backward()
    assert_same(outputs.detach(), expected)
    assert model.net.fc1.weight.grad is not None


@pytest.mark.parametrize("make_copy", [copy.deepcopy, lambda network: pickle.loads(pickle.dumps(network))])
def test_a_copy_traces_a_network_of_its_own(make_copy: type) -> None:
    network = make_network()
    other = make_copy(network)
    assert other.net is not network.net
    assert other.groups.sizes == network.groups.sizes
    own = {id(parameter) for parameter in other.net.parameters()}
    assert own <= {id(tensor) for tensor in other.evaluation.state()}
    assert not own & {id(tensor) for tensor in network.evaluation.state()}


class Images(nn.Module):
    """A convolutional network for images of any size, or of one it was built for (`side`)."""

    def __init__(self, side: int | None = None) -> None:
        super().__init__()
        self.conv, self.fc, self.side = nn.Conv2d(2, 6, 3, padding=1), nn.Linear(6, 3), side

    def forward(self, x: Tensor) -> Tensor:
        if self.side is not None and float(x.shape[2]) ** 0.5 != self.side**0.5:
            raise ValueError("another size")
        return self.fc(torch.relu(self.conv(x)).mean((2, 3)))


def count_traces(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """A list that grows by each trace from now on."""
    traces: list[object] = []
    plain = network_module.trace_network

    def trace(*args: Any, **kwargs: Any) -> Any:
        traces.append(kwargs["fixed"])
        return plain(*args, **kwargs)

    monkeypatch.setattr(network_module, "trace_network", trace)
    return traces


def fit(network: SlicedNetwork, *shape: int) -> None:
    network.fit(Example(args=(torch.zeros(shape),), kwargs={}))


def test_images_of_another_size_run_and_equal_the_network() -> None:
    net = Images().double()
    model = Elastic(net, (torch.randn(2, 2, 8, 8, dtype=torch.float64),)).eval()
    for height, width in ((8, 8), (5, 8), (6, 7), (9, 9)):
        x = torch.randn(3, 2, height, width, dtype=torch.float64)
        assert_same(model(x).detach(), net(x).detach())
    with model.at(0.5):
        assert_same(model(x).detach(), model.extract(0.5)(x).detach())
    model.train()
    assert model(torch.randn(3, 2, 7, 6, dtype=torch.float64)).shape == (3, 3)


def test_an_axis_is_opened_by_its_first_other_size_only(monkeypatch: pytest.MonkeyPatch) -> None:
    traces = count_traces(monkeypatch)
    network = SlicedNetwork(Images(), Example(args=(torch.zeros(2, 2, 8, 8),), kwargs={}))
    groups = network.groups.to_dict()
    for height, width, number in ((8, 8, 1), (8, 5, 2), (8, 6, 2), (4, 8, 3), (5, 5, 3)):
        fit(network, 3, 2, height, width)
        assert len(traces) == number
        assert network.groups.to_dict() == groups
    assert traces == [{(0, 1), (0, 2), (0, 3)}, {(0, 1), (0, 2)}, {(0, 1)}]


def test_a_network_that_needs_its_size_says_so_and_is_not_traced_for_it_again(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Elastic(Images(side=8), (torch.randn(2, 2, 8, 8),)).eval()
    groups, traces = model.groups.sizes, count_traces(monkeypatch)
    for _ in range(3):
        with pytest.raises(TraceError):
            model(torch.randn(2, 2, 6, 8))
        assert len(traces) <= 1
    assert model.groups.sizes == groups
    x = torch.randn(3, 2, 8, 8)
    assert_same(model(x).detach(), model.net(x).detach())
