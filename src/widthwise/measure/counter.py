"""Multiply-accumulates of a network that is not traced, from the operators of one call."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

__all__ = ["count_call_macs"]


def count_call_macs(net: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> int:
    """Return the multiply-accumulates of one call, as torch's counter of operations finds them.

    It knows linear layers, convolutions and products of matrices, but no recurrent layers; `count_macs` counts what is
    traced, and is right on those.
    """
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        net(*args, **kwargs)
    return counter.get_total_flops() // 2
