import torch
from torch import nn

from widthwise.graph import Example
from widthwise.slicing.placement import find_placement, leave_inference, move_example


def test_inputs_of_the_networks_dtype_follow_it_and_others_keep_theirs() -> None:
    net = nn.Linear(2, 3)
    before = find_placement(net)
    assert before == (torch.device("cpu"), torch.float32)
    example = Example(args=(torch.zeros(2), torch.zeros(2, dtype=torch.int64)), kwargs={"scale": 2.0})
    moved = move_example(example, before, find_placement(net.double()))
    assert [leaf.dtype for leaf in moved.args] == [torch.float64, torch.int64]
    assert moved.kwargs == {"scale": 2.0}


def test_what_is_moved_or_made_under_inference_mode_can_be_traced() -> None:
    net = nn.Linear(2, 3)
    before, x = find_placement(net), torch.zeros(2)
    with torch.inference_mode():
        moved = move_example(Example(args=(x,), kwargs={}), before, find_placement(net.double()))
        made = leave_inference(Example(args=(torch.ones(2), x), kwargs={"scale": 2.0}))
    assert not any(leaf.is_inference() for leaf in (*moved.args, *made.args))
    assert made.args[0].tolist() == [1, 1]
    assert made.args[1] is x
    assert made.kwargs == {"scale": 2.0}


def test_a_network_without_parameters_is_nowhere() -> None:
    assert find_placement(nn.ReLU()) is None
