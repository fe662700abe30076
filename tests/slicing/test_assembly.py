import pytest
import torch
from torch import Tensor, fx, nn
from torch.utils import _pytree as pytree

from widthwise.graph import Example
from widthwise.slicing.assembly import name_inputs, refuse_fewer, register, set_structure


class Net(nn.Module):
    def forward(self, x: Tensor, *more: Tensor, y: Tensor) -> Tensor:
        return x + y + sum(more)


def test_tensors_stand_under_their_names() -> None:
    root, weight = nn.Module(), nn.Parameter(torch.ones(2))
    register(root, "a.0.weight", weight, persistent=True)
    register(root, "a.mean", torch.zeros(2), persistent=True)
    register(root, "a.table", torch.zeros(2), persistent=False)
    assert dict(root.named_parameters()) == {"a.0.weight": weight}
    assert list(root.state_dict()) == ["a.mean", "a.0.weight"]
    assert [name for name, _ in root.named_buffers()] == ["a.mean", "a.table"]


def test_inputs_have_the_names_of_the_call() -> None:
    x = torch.ones(2)
    assert name_inputs(Net(), Example(args=(x, x, x), kwargs={"y": x})) == ["x", "input_1", "input_2", "y"]


def test_a_graph_takes_nested_inputs_and_refuses_small_batches() -> None:
    graph = fx.Graph()
    one, other = graph.placeholder("one"), graph.placeholder("other")
    graph.output((graph.call_function(torch.add, (one, other)),))
    refuse_fewer(graph, 2, [None, 0])
    example = Example(args=({"a": 0},), kwargs={"y": 0})
    set_structure(graph, ["x", "y"], example, pytree.tree_structure([0]))
    module = fx.GraphModule(nn.Module(), graph)
    assert module({"a": torch.tensor(1.0)}, y=torch.ones(2))[0].tolist() == [2, 2]
    with pytest.raises(
        AssertionError, match=r"^the batch must hold 2 samples or more, since the network does something"
    ):
        module({"a": torch.tensor(1.0)}, y=torch.ones(1))
