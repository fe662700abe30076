"""Keep the weights of linear layers as int8, a scale for each row, by torchao. Needs the extra `int8`."""

from typing import Any

from torch import nn

from widthwise._shared import ExportError, require
from widthwise.graph import silence

__all__ = ["quantise_weights"]


def quantise_weights(net: nn.Module) -> nn.Module:
    """Return the network, the weights of its linear layers quantised in place.

    Raises:
        MissingExtraError: torchao is not installed.
        ExportError: No weight could be quantised.
    """
    with silence():
        torchao = require("torchao.quantization", "int8")
    before = {name: type(parameter) for name, parameter in net.named_parameters()}
    config: Any = torchao.Int8WeightOnlyConfig()
    with silence():
        torchao.quantize_(net, config)
    if all(type(parameter) is before[name] for name, parameter in net.named_parameters()):
        raise ExportError(
            f"expected a network with nn.Linear layers, whose weights can be int8, got none in {type(net).__name__}; "
            "export .onnx, whose quantiser knows convolutions too, or leave out dtype="
        )
    return net
