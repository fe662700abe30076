import sys

import pytest
import torch
from torch import nn

from tests.slicing.formats.samples import batch_of, make_net
from widthwise._shared import ExportError, MissingExtraError
from widthwise.slicing.finish.dtype import convert, find_slack


def test_linear_weights_are_int8_and_compute_nearly_the_same() -> None:
    pytest.importorskip("torchao", reason="needs torchao: pip install 'widthwise[int8]'")
    net = make_net()
    found = convert(net, "int8")
    (x,) = batch_of(64).args
    with torch.no_grad():
        got, wanted = found(x), net(x)
    assert not torch.equal(got, wanted)
    assert float((got - wanted).abs().max() / wanted.abs().max()) <= find_slack("int8")
    assert type(net[0].weight) is nn.Parameter


def test_a_network_without_linear_layers_is_an_error() -> None:
    pytest.importorskip("torchao", reason="needs torchao: pip install 'widthwise[int8]'")
    with pytest.raises(ExportError) as caught:
        convert(nn.Conv2d(3, 4, 3), "int8")
    assert str(caught.value) == (
        "expected a network with nn.Linear layers, whose weights can be int8, got none in Conv2d; export .onnx, whose "
        "quantiser knows convolutions too, or leave out dtype="
    )


def test_without_torchao_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchao", None)
    monkeypatch.setitem(sys.modules, "torchao.quantization", None)
    with pytest.raises(MissingExtraError) as caught:
        convert(make_net(), "int8")
    assert str(caught.value) == "int8 by torchao needs torchao; install it with: pip install 'widthwise[int8]'"
