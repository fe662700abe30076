import copy

import pytest
import torch
from torch import nn

from widthwise._shared import WidthError
from widthwise.elastic.engines.transplant import transplant


def make_network() -> nn.Module:
    net = nn.ModuleDict({"part": nn.Sequential(nn.Linear(2, 3), nn.ReLU()), "head": nn.Linear(3, 1)})
    net["first"] = net["part"][0]
    return net.train()


def test_the_copy_holds_the_other_module_and_shares_nothing_with_the_network() -> None:
    net = make_network()
    small = copy.deepcopy(net["part"])
    found = transplant(net, net["part"], small)
    assert found["part"] is small
    assert found["first"] is small[0]
    assert not any(module.training for module in found.modules())
    assert net.training
    assert net["first"] is net["part"][0]
    own = {tensor.data_ptr() for tensor in net.parameters()}
    assert not own & {tensor.data_ptr() for tensor in found.parameters()}


def test_tensors_of_another_class_of_module_are_held_once() -> None:
    net = make_network()
    small = nn.ModuleDict({"0": nn.Linear(2, 3)})
    found = transplant(net, net["part"], small)
    assert found["first"].weight is small["0"].weight


def test_hooks_of_the_part_go_along() -> None:
    net, calls = make_network(), []
    net["part"].register_forward_hook(lambda *_, **__: calls.append("after"), with_kwargs=True)
    net["part"].register_forward_pre_hook(lambda *_: calls.append("before"))
    small = copy.deepcopy(net["part"])
    small._forward_hooks.clear()
    transplant(net, net["part"], small)["part"](torch.zeros(1, 2))
    assert calls == ["before", "after"]


def test_a_network_that_cannot_be_copied_is_an_error() -> None:
    net = make_network()
    net.kept = net["head"].weight * 2
    with pytest.raises(
        WidthError, match=r"^ModuleDict must be one that copy\.deepcopy can copy, got: Only Tensors created"
    ):
        transplant(net, net["part"], copy.deepcopy(net["part"]))
