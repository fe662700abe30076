import torch
from torch import nn

from widthwise.training.device import device_of


def test_a_network_is_where_its_parameters_are() -> None:
    assert device_of(nn.Linear(2, 2, device="meta")) == torch.device("meta")
    assert device_of(nn.ReLU()) == torch.device("cpu")
