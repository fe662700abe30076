import copy
import json
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.networks import make_model
from widthwise import Elastic
from widthwise._shared import ExportError
from widthwise.elastic.engines.traced import TracedEngine
from widthwise.slicing import copy_state
from widthwise.slicing.assembly import name_inputs
from widthwise.slicing.stored import StoredGraph, write_graph


def describe(model: Elastic) -> dict[str, Any]:
    engine = model.engine
    assert isinstance(engine, TracedEngine)
    runner = engine.sliced.evaluation
    keys = {group.key: position for position, group in enumerate(model.groups)}
    names = name_inputs(engine.net, engine.example)
    written = write_graph(runner.program, names, engine.example, keys, runner.input_batch_axes)
    return json.loads(json.dumps(written, allow_nan=False))


def build(content: dict[str, Any], model: Elastic) -> nn.Module:
    engine = model.engine
    assert isinstance(engine, TracedEngine)
    state = copy_state(engine.sliced.evaluation, {})
    return StoredGraph.read(content).build({}, state, persistent=())


@pytest.fixture(scope="module")
def mlp() -> Elastic:
    return make_model("mlp", torch.float32)


@pytest.mark.parametrize("name", ["mlp", "join", "dict", "conv", "tokens"])
def test_a_graph_that_is_read_computes_what_the_network_does(name: str) -> None:
    model = make_model(name, torch.float32)
    args, kwargs = model.example_args, model.example_kwargs
    one, other = build(describe(model), model)(*args, **kwargs), model.extract(1.0, form="graph")(*args, **kwargs)
    torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_names_and_order_of_inputs_are_those_of_the_network() -> None:
    model = make_model("dict", torch.float32)
    built = build(describe(model), model)
    mask, x = torch.randn(2, 2), torch.randn(2, 4)
    expected = model.net(x=x, mask=mask)["logits"]
    assert torch.equal(built(x=x, mask=mask)["logits"], expected)


@pytest.mark.parametrize(
    "operator",
    [
        "os.system",
        "aten.from_file.default",
        "aten.add_.Tensor",
        "aten.__class__.mro",
        "prims.add.default",
        "operator.setitem",
        "torch.load",
    ],
)
def test_an_operator_that_computes_no_values_is_not_called(operator: str, mlp: Elastic) -> None:
    content = describe(mlp)
    content["nodes"][0][0] = operator
    with pytest.raises((ValueError, AttributeError)):
        build(content, mlp)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("names", ["x=print('run')"]),
        ("names", ["self"]),
        ("names", ["lambda"]),
        ("names", ["x", "x"]),
        ("state", ['fc1"); print("run'] * 6),
        ("kwargs", {"a': print('run'), 'b": 0}),
    ],
)
def test_what_is_no_name_gets_into_no_code(
    key: str, value: Any, mlp: Elastic, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises((ValueError, TypeError)):
        build({**describe(mlp), key: value}, mlp)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    "argument", [{"dtype": "nn"}, {"value": -1}, {"value": 99}, {"size": True, "x": 1}, {"code": "1"}]
)
def test_an_argument_of_another_kind_is_not_read(argument: Any, mlp: Elastic) -> None:
    content = copy.deepcopy(describe(mlp))
    content["nodes"][0][1][0] = argument
    with pytest.raises((ValueError, LookupError, AttributeError, TypeError)):
        build(content, mlp)


class Cased(nn.Module):
    """Holds a layer under a name with a space."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleDict({"a b": nn.Linear(4, 8), "c": nn.Linear(8, 2)})

    def forward(self, x: Tensor) -> Tensor:
        return self.layers["c"](torch.relu(self.layers["a b"](x)))


def test_a_name_that_cannot_stand_in_code_is_refused_when_written() -> None:
    with pytest.raises(ExportError) as caught:
        describe(Elastic(Cased().eval(), (torch.randn(2, 4),)))
    assert str(caught.value) == (
        "expected names of letters, digits, '_', '-' and '.', got 'layers.a b.weight'; rename that module"
    )


def test_a_branch_is_refused_when_written() -> None:
    class Branching(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.head = nn.Linear(4, 8), nn.Linear(8, 2)

        def forward(self, x: Tensor) -> Tensor:
            hidden = torch.cond(x.sum() > 0, lambda h: h.sin(), lambda h: h.cos(), (self.fc(x),))
            return self.head(hidden)

    with pytest.raises(
        ExportError, match=r"^expected operators of PyTorch that compute values alone, got torch\.cond; e"
    ):
        describe(Elastic(Branching().eval(), (torch.randn(2, 4),)))


def test_a_spectral_norm_is_refused_when_written() -> None:
    layer = nn.utils.parametrizations.spectral_norm(nn.Linear(4, 8))
    with pytest.raises(ExportError) as caught:
        describe(Elastic(nn.Sequential(layer, nn.ReLU(), nn.Linear(8, 2)).eval(), (torch.randn(2, 4),)))
    assert str(caught.value) == (
        "expected a network without spectral norms, got one whose weights have some; extract the widths that you need "
        "one by one"
    )
