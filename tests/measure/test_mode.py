from typing import Never

import pytest
import torch
from torch import nn

from widthwise.measure import evaluating


def test_every_module_is_in_eval_mode_without_gradients_inside() -> None:
    net = nn.Sequential(nn.Dropout(), nn.Linear(2, 2)).train()

    with evaluating(net):
        assert not any(module.training for module in net.modules())
        assert torch.is_inference_mode_enabled()


def test_each_module_gets_its_own_mode_back() -> None:
    net = nn.Sequential(nn.Dropout(), nn.BatchNorm1d(2)).train()
    net[1].eval()

    with evaluating(net):
        pass

    assert [module.training for module in net.modules()] == [True, True, False]
    assert not torch.is_inference_mode_enabled()


def test_modes_come_back_after_an_error() -> Never:
    net = nn.Dropout().train()

    with pytest.raises(RuntimeError, match="inside"), evaluating(net):
        raise RuntimeError("inside")

    assert net.training
