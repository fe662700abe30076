import pickle
from typing import Any

import pytest
import torch
from torch import Tensor, fx, nn

from tests.networks import CASES, assert_same, draw_widths, make_generator, make_model, shared_model
from widthwise.elastic import Elastic, Law
from widthwise.graph import Example
from widthwise.slicing.plain import Agreement, same_outputs
from widthwise.zoo.models import MLP, ResidualConvNet

names = pytest.mark.parametrize("name", CASES)


def sample(name: str, batch: int = 3) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return CASES[name].sample(batch, make_generator(0), torch.float64)


class Remembering(nn.Module):
    """Remembers sizes in attributes of its own, one of them a plain tensor."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.width, self.shape = width, (width, 2)
        self.fc, self.head = nn.Linear(5, 2 * width), nn.Linear(width, 3)
        self.register_buffer("offset", torch.randn(width), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        hidden = torch.relu(self.fc(x)).view(-1, *self.shape).sum(-1)
        return self.head(hidden.reshape(x.shape[0], self.width) + self.offset)


@pytest.fixture(scope="module")
def remembering() -> Elastic:
    return Elastic(Remembering().double(), (torch.randn(3, 5, dtype=torch.float64),), law=Law(lowest=0.1))


def test_an_mlp_is_extracted_as_one() -> None:
    small = shared_model("mlp").extract({"fc1": 4, "fc2": 2})
    assert type(small) is MLP
    assert (small.fc1.in_features, small.fc1.out_features) == (6, 4)
    assert (small.fc2.in_features, small.fc2.out_features) == (4, 2)
    assert (small.head.in_features, small.head.out_features) == (2, 3)
    assert repr(small) == repr(MLP([6, 4, 2, 3]))
    assert {key: value.shape for key, value in small.state_dict().items()} == {
        key: value.shape for key, value in MLP([6, 4, 2, 3]).state_dict().items()
    }


def test_a_residual_convnet_is_extracted_as_one() -> None:
    model = shared_model("resnet")
    small = model.extract({group.name: group.size // 2 for group in model.groups})
    assert type(small) is ResidualConvNet
    assert repr(small) == repr(ResidualConvNet(2, 3, widths=(2, 3)))
    assert small.stem_norm.num_features == 2
    assert small.stages.stage2.block1.shortcut.conv.in_channels == 2


# Units inside a group of a convolution move by name only, so training never draws fewer of them.
@pytest.mark.filterwarnings("ignore:the law draws at least 2 units of grouped")
def test_grouped_and_depthwise_layers_are_extracted_as_such() -> None:
    widths = {"stem": 3, "pointwise.0": 2, "pointwise.1": 3, "grouped": 1, "up": 2, "fc": 4}
    small = shared_model("conv").extract(widths, form="module")
    assert (small.depthwise.in_channels, small.depthwise.out_channels, small.depthwise.groups) == (3, 3, 3)
    assert (small.grouped.in_channels, small.grouped.out_channels, small.grouped.groups) == (6, 2, 2)
    assert (small.up.in_channels, small.up.out_channels) == (2, 2)
    assert small.fc.in_features == 2 * 64


def test_a_small_network_is_in_evaluation_mode() -> None:
    model = make_model("pair").train()
    for form in ("module", "graph"):
        assert not any(module.training for module in model.extract(0.5, form=form).modules())
    assert all(module.training for module in model.net.modules())


def test_sizes_that_a_module_remembers_are_set(remembering: Elastic) -> None:
    small = remembering.extract({"fc.0": 3})
    assert type(small) is Remembering
    assert (small.width, small.shape) == (3, (3, 2))
    assert (remembering.net.width, remembering.net.shape) == (8, (8, 2))


@pytest.mark.parametrize("name", ["join", "literal"])
def test_code_with_sizes_written_into_it_is_extracted_as_its_graph(name: str) -> None:
    model = shared_model(name)
    args, kwargs = sample(name)
    small = model.extract({group.name: 1 for group in model.groups})
    assert isinstance(small, fx.GraphModule)
    assert type(model.extract(1.0)) is type(model.net)
    assert small(*args, **kwargs).shape == (3, 3)


def test_a_network_that_cannot_be_copied_is_extracted_as_its_graph() -> None:
    class Uncopyable(MLP):
        def __deepcopy__(self, memo: dict[int, Any]) -> MLP:
            raise RuntimeError("no copies")

    model = Elastic(Uncopyable([4, 6, 3]), (torch.randn(2, 4),))
    assert isinstance(model.extract(0.5), fx.GraphModule)


@names
def test_a_graph_has_the_state_of_the_network(name: str) -> None:
    model = shared_model(name)
    small = model.extract(draw_widths(model, 1), form="graph")
    assert list(small.state_dict()) == list(model.net.state_dict())
    assert [key for key, _ in small.named_parameters()] == [key for key, _ in model.net.named_parameters()]


def test_buffers_that_are_not_saved_stay_unsaved(remembering: Elastic) -> None:
    small = remembering.extract(0.5, form="graph")
    assert "offset" not in small.state_dict()
    assert dict(small.named_buffers())["offset"].shape == (4,)


def test_tied_weights_stay_tied() -> None:
    model = shared_model("tokens")
    for small in (model.extract(0.5, form="graph"), model.extract(0.5, form="module")):
        assert small.get_submodule("table").weight is small.get_submodule("head").weight
        assert isinstance(small.get_submodule("table").weight, nn.Parameter)


def test_parameters_that_were_frozen_stay_frozen() -> None:
    model = make_model("mlp")
    model.net.fc1.requires_grad_(False)
    for form in ("module", "graph"):
        small = model.extract(0.5, form=form)
        assert {key for key, value in small.named_parameters() if not value.requires_grad} == {"fc1.weight", "fc1.bias"}


def test_a_graph_takes_inputs_by_position_and_by_name() -> None:
    model = shared_model("dict").eval()
    small = model.extract(0.5, form="graph")
    _, inputs = sample("dict")
    outputs = small(**inputs)
    assert_same(small(*inputs.values()), outputs)
    assert_same(small(mask=inputs["mask"], x=inputs["x"]), outputs)
    pair = shared_model("pair").extract(0.5, form="graph")
    (one, other), _ = sample("pair")
    assert_same(pair(other=other, one=one), pair(one, other))


def test_nested_inputs_stay_nested() -> None:
    class Nested(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.head = nn.Linear(4, 8), nn.Linear(8, 2)

        def forward(self, pair: tuple[Tensor, dict[str, Tensor]]) -> Tensor:
            return self.head(torch.relu(self.fc(pair[0] + pair[1]["shift"])))

    inputs = (torch.randn(3, 4), {"shift": torch.randn(3, 4)})
    model = Elastic(Nested(), (inputs,)).eval()
    with model.at(0.5):
        expected = model(inputs)
    assert_same(model.extract(0.5, form="graph")(inputs), expected)
    assert_same(model.extract(0.5)(inputs), expected)


@names
def test_a_graph_survives_pickling(name: str) -> None:
    model = shared_model(name)
    args, kwargs = sample(name)
    small = model.extract(draw_widths(model, 2), form="graph")
    again = pickle.loads(pickle.dumps(small))
    assert_same(again(*args, **kwargs), small(*args, **kwargs))
    assert again.state_dict().keys() == small.state_dict().keys()


@names
def test_a_graph_knows_nothing_of_widthwise(name: str) -> None:
    small = shared_model(name).extract(draw_widths(shared_model(name), 2), form="graph")
    assert b"widthwise" not in pickle.dumps(small)
    for module in small.modules():
        assert type(module).__module__.startswith("torch.")
        for value in vars(module).values():
            assert type(value).__module__.split(".")[0] in ("builtins", "collections", "torch")
    for node in small.graph.nodes:
        assert node.meta == {}
        assert "widthwise" not in str(node.target)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mlp-norm", "conv", "dict", "tokens"])
def test_a_graph_can_be_exported(name: str) -> None:
    args, kwargs = sample(name, 4)
    small = shared_model(name).extract(0.5, form="graph")
    program = torch.export.export(small, args, kwargs, strict=False)
    assert_same(program.module()(*args, **kwargs), small(*args, **kwargs))


def test_networks_agree_on_what_they_compute() -> None:
    one, example = MLP([4, 6, 3]), Example(args=(torch.zeros(2, 4),), kwargs={})
    other = MLP([4, 6, 3])
    other.load_state_dict(one.state_dict())
    assert same_outputs(one, other, example)
    with torch.no_grad():
        # The example holds zeros only, which hide the first weights.
        other.fc1.weight[0, 0] += 1
    assert not same_outputs(one, other, example)


def test_networks_that_fail_or_return_something_else_do_not_agree() -> None:
    class Returns(nn.Module):
        def __init__(self, value: Any) -> None:
            super().__init__()
            self.value = value

        def forward(self, x: Tensor) -> Any:
            return x if self.value is None else self.value

    def agree(one: Any, other: Any) -> bool:
        return same_outputs(Returns(one), Returns(other), Example(args=(torch.ones(2, 3),), kwargs={}))

    nan = torch.tensor([1.0, float("nan"), float("inf")])
    assert agree(nan, nan.clone())
    assert agree(None, None)
    assert agree((torch.zeros(0), 1, "a"), (torch.zeros(0), 1, "a"))
    assert agree(torch.tensor([1, 2]), torch.tensor([1, 2]))
    for one, other in [
        (nan, torch.tensor([1.0, 2.0, float("inf")])),
        (nan, torch.tensor([1.0, float("nan"), float("-inf")])),
        (torch.ones(2), torch.ones(3)),
        (torch.ones(2), torch.ones(2).double()),
        (torch.ones(2), (torch.ones(2),)),
        (torch.tensor([1, 2]), torch.tensor([1, 3])),
        (torch.ones(2), 1),
        (1, 2),
        (torch.ones(2), torch.ones(2) + 1e-4),
    ]:
        assert not agree(one, other)
    assert not same_outputs(nn.Linear(3, 2), nn.Linear(4, 2), Example(args=(torch.ones(2, 3),), kwargs={}))


class Counts(nn.Module):
    """Adds to its input a number that `give` works out of it."""

    def __init__(self, give: Any = None) -> None:
        super().__init__()
        self.give = give

    def forward(self, x: Tensor) -> Tensor:
        return x if self.give is None else x + self.give(x)


def test_networks_that_differ_at_another_batch_size_do_not_agree() -> None:
    example = Example(args=(torch.ones(3, 2),), kwargs={})
    other = Counts(lambda x: len(x) > 3)
    assert Agreement(Counts(), example, (None,)).holds(other)
    assert not Agreement(Counts(), example, (0,)).holds(other)
    assert not Agreement(Counts(), Example(args=(), kwargs={"x": torch.ones(3, 2)}), (0,)).holds(other)


def test_networks_that_differ_at_other_tokens_do_not_agree() -> None:
    tokens = torch.tensor([[0, 1], [2, 3], [4, 5]])
    other = Counts(lambda x: (x != tokens).any().long())
    assert Agreement(Counts(), Example(args=(tokens,), kwargs={})).holds(Counts())
    assert not Agreement(Counts(), Example(args=(tokens,), kwargs={})).holds(other)


def test_inputs_that_the_right_network_does_not_take_are_left_out() -> None:
    def only_three(x: Tensor) -> int:
        if len(x) != 3:
            raise ValueError("three, please")
        return 0

    example = Example(args=(torch.ones(3, 2),), kwargs={})
    assert Agreement(Counts(only_three), example, (0,)).holds(Counts())
    assert not Agreement(Counts(), example, (0,)).holds(Counts(only_three))


def test_nothing_agrees_with_a_network_that_fails_on_the_example() -> None:
    example = Example(args=(torch.ones(3, 2),), kwargs={})
    assert not Agreement(Counts(lambda x: x / None), example).holds(Counts(lambda x: x / None))
