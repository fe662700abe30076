import sympy
import torch
from torch import fx, nn

from widthwise.graph import as_example, fake_tensors, shape_of, trace_network
from widthwise.graph.shape import expression


def placeholder(name: str = "x") -> fx.Node:
    net = nn.Sequential(nn.Linear(5, 8), nn.Linear(8, 3))
    return trace_network(net, as_example((torch.randn(3, 5),)), training=False).placeholder("input")


def test_dynamic_sizes_are_expressions_and_fixed_ones_numbers() -> None:
    batch, features = shape_of(placeholder().meta["val"])
    assert isinstance(batch, sympy.Symbol)
    assert features == 5
    assert isinstance(features, int)


def test_what_is_no_tensor_has_no_shape() -> None:
    assert shape_of(None) == ()
    assert shape_of(3) == ()
    assert shape_of(torch.zeros(2, 3)) == (2, 3)
    assert expression(4) == 4


def test_a_node_yields_one_value_or_several() -> None:
    node = fx.Graph().placeholder("x")
    assert fake_tensors(node) == [None]
    node.meta["val"] = (1, 2)
    assert fake_tensors(node) == [1, 2]
