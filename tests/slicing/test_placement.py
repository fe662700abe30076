import torch
from torch import nn

from widthwise.graph import Example
from widthwise.slicing.placement import find_placement, move_example


def test_inputs_of_the_networks_dtype_follow_it_and_others_keep_theirs() -> None:
    net = nn.Linear(2, 3)
    before = find_placement(net)
    assert before == (torch.device("cpu"), torch.float32)
    example = Example(args=(torch.zeros(2), torch.zeros(2, dtype=torch.int64)), kwargs={"scale": 2.0})
    moved = move_example(example, before, find_placement(net.double()))
    assert [leaf.dtype for leaf in moved.args] == [torch.float64, torch.int64]
    assert moved.kwargs == {"scale": 2.0}


def test_a_network_without_parameters_is_nowhere() -> None:
    assert find_placement(nn.ReLU()) is None
