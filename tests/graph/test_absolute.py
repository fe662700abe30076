from typing import Any

import pytest
import torch
from torch import Tensor, fx

from widthwise.graph.absolute import count_from_front, name_squeezed_axes

aten = torch.ops.aten


def rewrite(target: Any, x: Tensor, *args: Any, **kwargs: Any) -> tuple[Any, tuple[Any, ...]]:
    """The node of a call after both rewritings, which must give what it gave."""
    graph = fx.Graph()
    source = graph.placeholder("x")
    source.meta["val"] = x
    node = graph.call_function(target, (source, *args), kwargs)
    graph.output(node)
    before = target(x, *args, **kwargs)
    name_squeezed_axes(graph)
    count_from_front(graph)
    assert torch.equal(fx.GraphModule(torch.nn.Module(), graph)(x), before)
    return node.target, node.args[1:]


@pytest.mark.parametrize(
    ("target", "args", "removed"),
    [
        (aten.squeeze.default, (), [1, 3]), (aten.squeeze.dim, (1,), [1]), (aten.squeeze.dim, (-1,), [3]),
        (aten.squeeze.dim, (0,), []), (aten.squeeze.dims, ([0, -1, 1],), [1, 3]),
    ],
)  # fmt: skip
def test_a_squeeze_names_the_axes_that_it_removes(target: Any, args: tuple[Any, ...], removed: list[int]) -> None:
    x = torch.randn(3, 1, 4, 1)
    assert rewrite(target, x, *args) == (aten.squeeze.dims, (removed,))
    assert rewrite(aten.squeeze.default, torch.tensor(2.0)) == (aten.squeeze.dims, ([],))


@pytest.mark.parametrize(
    ("target", "args", "kwargs", "expected"),
    [
        (aten.slice.Tensor, (1, -3), {}, (1, 2)), (aten.slice.Tensor, (1, 0, -2), {}, (1, 0, 3)),
        (aten.slice.Tensor, (1, -9, -1), {}, (1, 0, 4)), (aten.slice.Tensor, (1, None, 4), {}, (1, None, 4)),
        (aten.slice.Tensor, (-1, 1, 2**63 - 1), {}, (-1, 1, 2**63 - 1)), (aten.select.int, (1, -1), {}, (1, 4)),
        (aten.select.int, (-1, 2), {}, (-1, 2)), (aten.slice.Tensor, (), {"dim": 1, "start": -2}, (1, 3)),
    ],
)  # fmt: skip
def test_positions_are_counted_from_the_front(
    target: Any, args: tuple[Any, ...], kwargs: dict[str, Any], expected: tuple[Any, ...]
) -> None:
    assert rewrite(target, torch.randn(2, 5), *args, **kwargs) == (target, expected)


def test_other_operators_stay() -> None:
    assert rewrite(aten.roll.default, torch.randn(3), [-1], [-1]) == (aten.roll.default, ([-1], [-1]))
