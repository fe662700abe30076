"""PyTorch's functions in place of its operators in a graph: the same kernels by a shorter way.

A call of `torch.ops.aten.relu.default` goes through Python before the kernel runs, one of `torch.relu` does not.
"""

import operator
from typing import Any

import torch
from torch import fx
from torch._C import _nn as nn_functions  # pyright: ignore[reportAttributeAccessIssue]

__all__ = ["use_functions"]

_ATEN = torch.ops.aten
# Only functions that take the operator's arguments as they stand.
_FUNCTIONS: dict[Any, Any] = {
    _ATEN.adaptive_avg_pool2d.default: nn_functions.adaptive_avg_pool2d,
    _ATEN.add.Tensor: torch.add,
    _ATEN.avg_pool2d.default: nn_functions.avg_pool2d,
    _ATEN.batch_norm.default: torch.batch_norm,
    _ATEN.bmm.default: torch.bmm,
    _ATEN.cat.default: torch.cat,
    _ATEN.conv1d.default: torch.conv1d,
    _ATEN.conv2d.default: torch.conv2d,
    _ATEN.conv3d.default: torch.conv3d,
    _ATEN.div.Tensor: torch.div,
    _ATEN.embedding.default: torch.embedding,
    _ATEN.gelu.default: nn_functions.gelu,
    _ATEN.group_norm.default: torch.group_norm,
    _ATEN.hardswish.default: nn_functions.hardswish,
    _ATEN.layer_norm.default: torch.layer_norm,
    _ATEN.linear.default: nn_functions.linear,
    _ATEN.matmul.default: torch.matmul,
    _ATEN.max_pool2d.default: torch.max_pool2d,
    _ATEN.mean.dim: torch.mean,
    _ATEN.mul.Tensor: torch.mul,
    _ATEN.permute.default: torch.permute,
    _ATEN.relu.default: torch.relu,
    _ATEN.reshape.default: torch.reshape,
    _ATEN.scaled_dot_product_attention.default: nn_functions.scaled_dot_product_attention,
    _ATEN.sigmoid.default: torch.sigmoid,
    _ATEN.silu.default: nn_functions.silu,
    _ATEN.softmax.int: torch.softmax,
    _ATEN.sub.Tensor: torch.sub,
    _ATEN.tanh.default: torch.tanh,
    _ATEN.transpose.int: torch.transpose,
    _ATEN.unsqueeze.default: torch.unsqueeze,
}
_BATCH_NORM = _ATEN._native_batch_norm_legit_no_training.default


def use_functions(graph: fx.Graph) -> fx.Graph:
    """Replace operators by functions wherever there is one; in place."""
    for node in graph.nodes:
        if node.target is _BATCH_NORM:
            _use_batch_norm(node)
        else:
            node.target = _FUNCTIONS.get(node.target, node.target)
    return graph


def _use_batch_norm(node: fx.Node) -> None:
    """Replace a batch norm and the reads of its first output, where nothing reads the others."""
    reads = list(node.users)
    if not all(read.target is operator.getitem and read.args[1] == 0 for read in reads):
        return
    x, weight, bias, mean, variance, momentum, eps = node.args
    with node.graph.inserting_before(node):
        arguments = (x, weight, bias, mean, variance, False, momentum, eps, True)
        new = node.graph.call_function(torch.batch_norm, arguments)
    for read in reads:
        read.replace_all_uses_with(new)
        node.graph.erase_node(read)
    node.graph.erase_node(node)
