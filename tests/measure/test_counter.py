import torch
from torch import nn

from tests.networks import shared_model
from widthwise.measure import count_call_macs


def test_layers_and_products_are_counted() -> None:
    net = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 16, 5))
    assert count_call_macs(net, (torch.zeros(2, 3, 4, 4),), {}) == 2 * (16 * 8 * 27 + 8 * 16 * 5)


def test_it_agrees_with_the_count_from_the_trace() -> None:
    model = shared_model("mlp")
    args, kwargs = model.example_batch(1)
    assert count_call_macs(model.net, args, kwargs) == model.macs()
