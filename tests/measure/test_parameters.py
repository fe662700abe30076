import pytest
import torch
from torch import nn

from widthwise._shared import WidthwiseError
from widthwise.measure import count_parameters


def test_parameters_of_a_network_are_counted_by_hand() -> None:
    net = nn.Sequential(nn.Linear(5, 7), nn.BatchNorm1d(7), nn.Linear(7, 3, bias=False))

    assert count_parameters(net) == (5 * 7 + 7) + (7 + 7) + 7 * 3


def test_frozen_parameters_are_counted() -> None:
    net = nn.Linear(5, 7).requires_grad_(requires_grad=False)

    assert count_parameters(net) == 5 * 7 + 7


def test_a_tied_parameter_counts_once() -> None:
    net = nn.ModuleDict({"embed": nn.Embedding(11, 4), "head": nn.Linear(4, 11, bias=False)})
    net["head"].weight = net["embed"].weight

    assert count_parameters(net) == 11 * 4


def test_a_network_without_parameters_has_none() -> None:
    assert count_parameters(nn.ReLU()) == 0


def test_a_network_on_the_meta_device_is_counted() -> None:
    with torch.device("meta"):
        net = nn.Linear(1000, 1000)

    assert count_parameters(net) == 1_001_000


def test_a_lazy_module_that_never_ran_is_refused_by_name() -> None:
    net = nn.Sequential(nn.ReLU(), nn.LazyLinear(4))

    with pytest.raises(WidthwiseError) as caught:
        count_parameters(net)

    assert str(caught.value) == (
        "expected parameters with a shape, got the uninitialised 1.weight of a lazy module; run the network once first"
    )
