"""Operators with bodies: each runs as torch's own does, and a trace holds it as one node."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, fx, nn
from torch._higher_order_ops.map import map as map_rows
from torch._higher_order_ops.scan import scan
from torch._higher_order_ops.while_loop import while_loop
from torch.nn.attention.flex_attention import flex_attention

from tests.networks import assert_same
from tests.traps import Network
from widthwise._shared import TraceError
from widthwise.graph import Nested, as_example, trace_network
from widthwise.graph.nested import nested_nodes
from widthwise.slicing.checks.values import is_random

Function = Callable[[Any, Tensor], Any]


def _branch(s: Any, x: Tensor) -> Tensor:
    return torch.cond(x.sum() > 0, lambda y: s.b(y).relu(), lambda y: s.b(y).sin(), (s.a(x),))


def _branch_by_size(s: Any, x: Tensor) -> Tensor:
    return torch.cond(x.shape[0] > 4, lambda y: s.b(y).relu(), lambda y: s.b(y).sin(), (s.a(x),))


def _branch_twice(s: Any, x: Tensor) -> Tensor:
    def inner(y: Tensor) -> Tensor:
        return torch.cond(y.mean() > 0, lambda z: z[..., -3:].mean(-1, True) + z, lambda z: s.b(z).exp(), (y,))

    return torch.cond(x.sum() > 0, inner, lambda y: y.cos(), (s.a(x),))


def _loop(s: Any, x: Tensor) -> Tensor:
    start = torch.zeros((), dtype=torch.int64)
    return while_loop(lambda i, _: i < 3, lambda i, y: (i + 1, s.b(y).tanh()), (start, s.a(x)))[1]


def _scan(s: Any, x: Tensor) -> tuple[Tensor, Tensor]:
    def step(h: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        h = torch.tanh(s.b(h) + y)
        return h, h * 2

    return scan(step, s.a(x[:, 0]) * 0, s.a(x), dim=1)


def _scan_back(s: Any, x: Tensor) -> tuple[Tensor, Tensor]:
    return scan(lambda h, y: (h.cos() + y, s.b(h)), s.a(x[:, 0]) * 0, s.a(x), dim=1, reverse=True)


def _map(s: Any, x: Tensor) -> Tensor:
    return map_rows(lambda y: s.b(y).relu(), s.a(x))


FUNCTIONS: dict[str, Function] = {
    "branch": _branch, "branch by size": _branch_by_size, "branch in a branch": _branch_twice, "loop": _loop,
    "scan": _scan, "scan back": _scan_back, "map": _map,
}  # fmt: skip


def make(function: Function) -> Network:
    torch.manual_seed(0)
    return Network(function, a=nn.Linear(5, 6), b=nn.Linear(6, 6)).double().eval()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_trace_of_one_graph_gives_what_the_network_gives(name: str) -> None:
    net = make(FUNCTIONS[name])
    trace = trace_network(net, as_example((torch.randn(2, 4, 5, dtype=torch.float64),)))
    assert not trace.graph.find_nodes(op="get_attr")
    assert any(isinstance(node.target, Nested) for node in trace.graph.nodes)
    state = [net.get_parameter(entry.target) for entry in trace.state if entry.target not in trace.constants]
    module = fx.GraphModule(nn.Module(), trace.graph)
    for x in (torch.rand(5, 4, 5, dtype=torch.float64), -torch.rand(2, 3, 5, dtype=torch.float64)):
        got = module(*state, x)
        with torch.no_grad(), torch.compiler.set_stance("force_eager"):
            expected = net(x)
        for one, other in zip(got, expected if isinstance(expected, tuple) else (expected,), strict=True):
            assert_same(one.detach(), other)
        assert all(each.requires_grad for each in got)


def test_nodes_of_bodies_come_before_the_operator_that_holds_them() -> None:
    trace = trace_network(make(_branch_twice), as_example((torch.randn(2, 4, 5, dtype=torch.float64),)))
    nodes = list(nested_nodes(trace.graph))
    held = [node for node in nodes if isinstance(node.target, Nested)]
    assert [str(node.target) for node in held] == ["torch.cond", "torch.cond"]
    assert held[0].graph is not trace.graph
    assert held[1].graph is trace.graph
    assert len(nodes) == len(set(nodes)) > len(list(trace.graph.nodes))


def test_positions_in_a_body_are_counted_from_the_front() -> None:
    trace = trace_network(make(_branch_twice), as_example((torch.randn(2, 4, 5, dtype=torch.float64),)))
    (cut,) = [node for node in nested_nodes(trace.graph) if node.target is torch.ops.aten.slice.Tensor]
    assert cut.args[2] == 3


def test_an_operator_is_random_where_a_body_is() -> None:
    def draw(s: Any, x: Tensor) -> Tensor:
        return torch.cond(x.sum() > 0, lambda y: torch.rand_like(y) + y, lambda y: s.b(y) * y, (s.a(x),))

    for function, expected in ((draw, True), (_branch, False)):
        trace = trace_network(make(function), as_example((torch.randn(2, 5, dtype=torch.float64),)))
        (node,) = [node for node in trace.graph.nodes if isinstance(node.target, Nested)]
        assert is_random(node) is expected


def test_gradients_stop_in_a_body_where_the_network_stops_them() -> None:
    def stop(s: Any, x: Tensor) -> Tensor:
        def inner(y: Tensor) -> Tensor:
            with torch.no_grad():
                z = s.b(y)
            return y * z

        return torch.cond(x.sum() > 0, inner, lambda y: y.sin(), (s.a(x),))

    net, x = make(stop), torch.rand(2, 5, dtype=torch.float64)
    trace = trace_network(net, as_example((x,)))
    state = [net.get_parameter(entry.target) for entry in trace.state]
    (got,) = fx.GraphModule(nn.Module(), trace.graph)(*state, x)
    found = torch.autograd.grad(got.sum(), [net.a.weight, net.b.weight], allow_unused=True)
    assert found[1] is None
    y = net.a(x)
    assert_same(found[0], torch.autograd.grad((y * net.b(y).detach()).sum(), net.a.weight)[0])


def test_other_operators_with_bodies_are_refused() -> None:
    def attend(s: Any, x: Tensor) -> Tensor:
        y = s.b(s.a(x)).float().unsqueeze(1)
        return flex_attention(y, y, y, score_mod=lambda score, *places: score + places[2])

    with pytest.raises(TraceError, match="one graph of operators, got another one inside it"):
        trace_network(make(attend).requires_grad_(False), as_example((torch.randn(2, 16, 5, dtype=torch.float64),)))
