from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, spectral_norm

from tests.traps import Network
from widthwise.graph import Trace, as_example, trace_network

KINDS = pytest.mark.parametrize("normalize", [parametrizations.spectral_norm, spectral_norm])


def trace(net: nn.Module, *, training: bool = False) -> Trace:
    return trace_network(net, as_example((torch.randn(4, 5),)), training=training)


def names_of(found: Trace) -> set[str]:
    return {str(node.target) for node in found.graph.nodes if node.op == "call_function"}


@KINDS
@pytest.mark.parametrize("training", [False, True])
def test_the_number_is_worked_out_of_whole_tensors_outside_the_graph(normalize: Any, *, training: bool) -> None:
    net = nn.Sequential(normalize(nn.Linear(5, 8)), nn.ReLU(), nn.Linear(8, 3))
    found = trace(net, training=training)
    assert found.prologue is not None
    ((number, weight),) = found.prologue.numbers.items()
    assert found.prologue.is_alone == {weight}
    assert not names_of(found) & {"aten.mv.default", "aten.dot.default", "aten.vdot.default"}
    assert not found.mutations
    assert len(found.prologue.writes) == (2 if training else 0)
    left = {entry.target for entry in found.state}
    assert {number, weight} <= left
    assert not left & {*found.prologue.reads, *found.prologue.writes} - {weight}
    placeholders = [node.name for node in found.graph.nodes if node.op == "placeholder"]
    assert placeholders == [*(entry.placeholder for entry in found.state), *found.inputs]


@KINDS
def test_running_it_is_what_the_network_does_in_training(normalize: Any) -> None:
    net = nn.Sequential(normalize(nn.Linear(5, 8)), nn.Linear(8, 3)).double()
    found = trace_network(net, as_example((torch.randn(4, 5, dtype=torch.float64),)), training=True)
    assert found.prologue is not None
    state = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    numbers, values = found.prologue.run(state)
    ((number, weight),) = found.prologue.numbers.items()
    net.train()(torch.randn(4, 5, dtype=torch.float64))
    torch.testing.assert_close(state[weight] / numbers[number], net[0].weight.detach())
    for name, value in values.items():
        torch.testing.assert_close(value, net.state_dict()[name])


def test_buffers_of_others_are_still_written_by_the_graph() -> None:
    net = nn.Sequential(parametrizations.spectral_norm(nn.Linear(5, 8)), nn.BatchNorm1d(8), nn.Linear(8, 3))
    found = trace(net, training=True)
    assert {name.rpartition(".")[2] for name in found.mutations.values()} == {
        "running_mean", "running_var", "num_batches_tracked",
    }  # fmt: skip


@pytest.mark.parametrize(
    "use",
    [
        lambda s, x, number: s.o(s.a(x)) / number,
        lambda s, x, number: s.o(functional(x, s.a.weight / number) * number),
        lambda s, x, number: s.o(functional(x, s.b / number)),
        lambda s, x, number: s.o(s.a(x)) * (number / s.a.weight).mean(),
    ],
    ids=["outputs", "again", "another", "divided by"],
)
def test_a_number_that_does_not_only_divide_its_weight_stays_in_the_graph(use: Any) -> None:
    def run(s: Any, x: Tensor) -> Tensor:
        return use(s, x, torch.dot(s.u, torch.mv(s.a.weight, s.v)))

    parts: dict[str, Any] = {"a": nn.Linear(5, 8), "o": nn.Linear(8, 3), "b": nn.Parameter(torch.randn(8, 5))}
    found = trace(Network(run, **parts, u=torch.randn(8), v=torch.randn(5)))
    assert found.prologue is None
    assert "aten.dot.default" in names_of(found)


def test_a_number_of_the_inputs_stays_in_the_graph() -> None:
    def run(s: Any, x: Tensor) -> Tensor:
        return s.o(functional(x, s.a.weight / torch.dot(s.u, torch.mv(s.a.weight, x[0]))))

    assert trace(Network(run, a=nn.Linear(5, 8), o=nn.Linear(8, 3), u=torch.randn(8))).prologue is None


@pytest.mark.parametrize("is_alone", [False, True])
def test_a_weight_that_is_read_elsewhere_too_is_not_alone(*, is_alone: bool) -> None:
    def run(s: Any, x: Tensor) -> Tensor:
        y = functional(x, s.a.weight / torch.dot(s.u, torch.mv(s.a.weight, s.v)))
        return s.o(y if is_alone else y + s.a(x))

    found = trace(Network(run, a=nn.Linear(5, 8), o=nn.Linear(8, 3), u=torch.randn(8), v=torch.randn(5)))
    assert found.prologue is not None
    assert found.prologue.is_alone == ({"a.weight"} if is_alone else set())


def functional(x: Tensor, weight: Tensor) -> Tensor:
    return nn.functional.linear(x, weight)
