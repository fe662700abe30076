"""Multiply-accumulates of a network at any widths, in closed form from the traced graph.

Counted: linear and matrix products, convolutions, attention, recurrent layers. Point-wise work, norms and pooling are left out, as is
usual. Common counters are wrong on recurrent layers and attention; this one is checked against hand counts, and against torch's where
that one is right.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

from torch import fx

from widthwise.graph import Inference, KeptSet, count

__all__ = ["count_macs"]

Shape = tuple[int, ...]
Shapes = dict[str, Shape | list[Shape]]


def count_macs(inference: Inference, kept: Mapping[int, KeptSet], *, batch: int = 1) -> int:
    """Return the multiply-accumulates of one forward pass.

    Args:
        inference: The traced network with its terms.
        kept: The kept set of each atom; full where it has none.
        batch: The number of samples; other dynamic sizes are those of the example.
    """
    symbols = dict(inference.trace.symbols)
    if inference.trace.batch_symbol is not None:
        symbols[inference.trace.batch_symbol] = batch
    total = 0
    for node in inference.outcomes:
        formula = _FORMULAS.get(node.target._schema.name)  # type: ignore[union-attr]
        if formula is not None:
            shapes = _argument_shapes(node, inference, kept, symbols)
            total += formula(shapes, _shape(node, inference, kept, symbols))
    return total


def _argument_shapes(
    node: fx.Node, inference: Inference, kept: Mapping[int, KeptSet], symbols: Mapping[Any, int]
) -> Shapes:
    shapes: Shapes = {}
    for argument, value in zip(node.target._schema.arguments, node.args, strict=False):  # type: ignore[union-attr]
        if isinstance(value, fx.Node) and value in inference.axes:
            shapes[argument.name] = _shape(value, inference, kept, symbols)
        elif (
            isinstance(value, list | tuple)
            and value
            and all(isinstance(item, fx.Node) and item in inference.axes for item in value)
        ):
            shapes[argument.name] = [_shape(item, inference, kept, symbols) for item in value]
    return shapes


def _shape(node: fx.Node, inference: Inference, kept: Mapping[int, KeptSet], symbols: Mapping[Any, int]) -> Shape:
    return tuple(count(term, kept, symbols) for term in inference.axes_of(node))


def _linear(shapes: Shapes, output: Shape) -> int:
    return math.prod(output) * shapes["weight"][-1]  # type: ignore[operator]


def _matmul(shapes: Shapes, output: Shape) -> int:
    left = shapes.get("mat1") or shapes["self"]
    return math.prod(output) * left[-1]  # type: ignore[operator]


def _batched(shapes: Shapes, output: Shape) -> int:
    return math.prod(output) * shapes["batch1"][-1]  # type: ignore[operator]


def _convolution(shapes: Shapes, output: Shape) -> int:
    return math.prod(output) * math.prod(shapes["weight"][1:])  # type: ignore[arg-type]


def _transposed(shapes: Shapes, output: Shape) -> int:
    return math.prod(shapes["input"]) * math.prod(shapes["weight"][1:])  # type: ignore[arg-type]


def _attention(shapes: Shapes, output: Shape) -> int:
    query, key, value = shapes["query"], shapes["key"], shapes["value"]
    return math.prod(query[:-1]) * key[-2] * (query[-1] + value[-1])  # type: ignore[arg-type,operator]


def _recurrent(shapes: Shapes, output: Shape) -> int:
    steps = math.prod(shapes["input"][:-1])  # type: ignore[arg-type]
    return steps * sum(math.prod(weight) for weight in shapes["params"] if len(weight) == 2)  # type: ignore[arg-type]


_FORMULAS: dict[str, Callable[[Shapes, Shape], int]] = {
    "aten::linear": _linear,
    "aten::mm": _matmul, "aten::bmm": _matmul, "aten::matmul": _matmul, "aten::addmm": _matmul, "aten::baddbmm": _batched,
    "aten::conv1d": _convolution, "aten::conv2d": _convolution, "aten::conv3d": _convolution,
    "aten::conv_transpose1d": _transposed, "aten::conv_transpose2d": _transposed, "aten::conv_transpose3d": _transposed,
    "aten::scaled_dot_product_attention": _attention,
    "aten::lstm": _recurrent, "aten::gru": _recurrent, "aten::rnn_tanh": _recurrent, "aten::rnn_relu": _recurrent,
}  # fmt: skip
