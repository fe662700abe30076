"""Multiply-accumulates of a network at any widths, in closed form from the traced graph.

Counted: linear and matrix products, convolutions, attention, recurrent layers. Point-wise work, norms and pooling are
left out, as is usual. Common counters are wrong on recurrent layers and attention; this one is checked against hand
counts, and against torch's where that one is right.
"""

import math
from collections.abc import Callable, Container, Mapping
from typing import Any

from torch import fx

from widthwise.graph import Inference, KeptSet, Nested, arguments_by_name, count, overload_name

__all__ = ["count_macs"]

Shape = tuple[int, ...]
Arguments = Mapping[str, Any]


def count_macs(
    inference: Inference, kept: Mapping[int, KeptSet], *, batch: int = 1, nodes: Container[fx.Node] | None = None
) -> int:
    """Return the multiply-accumulates of one forward pass.

    Args:
        inference: The traced network with its terms.
        kept: The kept set of each atom; full where it has none.
        batch: The number of samples; other dynamic sizes are those of the example. Of branches the dearest counts, of a
            loop one round, of a scan every step.
        nodes: Count these of the trace alone; None counts all.
    """
    symbols = dict(inference.trace.symbols)
    if inference.trace.batch_symbol is not None:
        symbols[inference.trace.batch_symbol] = batch

    def shape(node: fx.Node) -> Shape | None:
        axes = inference.axes_of(node) if node in inference.axes else ()
        return tuple(count(term, kept, symbols) for term in axes)

    def total(graph: fx.Graph) -> int:
        found = 0
        for node in graph.nodes:
            if nodes is not None and graph is inference.trace.graph and node not in nodes:
                continue
            formula = _FORMULAS.get(overload_name(node.target).partition(".")[0])
            if isinstance(node.target, Nested):
                costs = [total(body.graph) for body in node.target.bodies]
                first, last = node.target.num_carried, node.target.num_carried + node.target.num_sliced
                sliced = [shape(source) for source in node.args[first:last] if isinstance(source, fx.Node)]
                found += (sliced[0] or (1,))[0] * sum(costs) if sliced else max(costs)
            elif formula is not None:
                shapes: Any = fx.map_arg(arguments_by_name(node), shape)
                found += formula(shapes, shape(node) or ())
        return found

    return total(inference.trace.graph)


def _linear(shapes: Arguments, output: Shape) -> int:
    return math.prod(output) * shapes["weight"][-1]


def _matmul(shapes: Arguments, output: Shape) -> int:
    return math.prod(output) * shapes["self"][-1]


def _add_matmul(shapes: Arguments, output: Shape) -> int:
    return math.prod(output) * (shapes["mat1"] if "mat1" in shapes else shapes["batch1"])[-1]


def _einsum(shapes: Arguments, output: Shape) -> int:
    """Return the product of all sizes; more than two operands are counted as if multiplied all at once."""
    letters, _, _ = shapes["equation"].replace(" ", "").partition("->")
    sizes: dict[str, int] = {}
    for names, shape in zip(letters.split(","), shapes["tensors"], strict=True):
        front, dots, back = names.partition("...")
        rest = [f".{i}" for i in range(len(shape) - len(front) - len(back), 0, -1)] if dots else []
        for name, size in zip([*front, *rest, *back], shape, strict=True):
            sizes[name] = max(sizes.get(name, 1), size)
    return math.prod(sizes.values())


def _bilinear(shapes: Arguments, output: Shape) -> int:
    return math.prod(output) * math.prod(shapes["weight"][1:])


def _convolution(shapes: Arguments, output: Shape) -> int:
    return math.prod(output) * math.prod(shapes["weight"][1:])


def _transposed(shapes: Arguments, output: Shape) -> int:
    return math.prod(shapes["input"]) * math.prod(shapes["weight"][1:])


def _attention(shapes: Arguments, output: Shape) -> int:
    query, key, value = shapes["query"], shapes["key"], shapes["value"]
    return math.prod(query[:-1]) * key[-2] * (query[-1] + value[-1])


def _recurrent(shapes: Arguments, output: Shape) -> int:
    steps = math.prod(shapes["input"][:-1])
    return steps * sum(math.prod(weight) for weight in shapes["params"] if len(weight) == 2)


_FORMULAS: Mapping[str, Callable[[Arguments, Shape], int]] = {
    "aten::linear": _linear, "aten::bilinear": _bilinear, "aten::einsum": _einsum,
    "aten::mm": _matmul, "aten::bmm": _matmul, "aten::matmul": _matmul, "aten::mv": _matmul, "aten::dot": _matmul,
    "aten::addmm": _add_matmul, "aten::baddbmm": _add_matmul,
    "aten::conv1d": _convolution, "aten::conv2d": _convolution, "aten::conv3d": _convolution,
    "aten::conv_transpose1d": _transposed, "aten::conv_transpose2d": _transposed, "aten::conv_transpose3d": _transposed,
    "aten::scaled_dot_product_attention": _attention,
    "aten::lstm": _recurrent, "aten::gru": _recurrent, "aten::rnn_tanh": _recurrent, "aten::rnn_relu": _recurrent,
}  # fmt: skip
