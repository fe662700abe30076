from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._higher_order_ops.scan import scan

from tests.traps import Network
from widthwise.graph import Trace, as_example, trace_network
from widthwise.graph.constant import find_data

Step = Callable[[Any, Tensor], Tensor]


def trace(step: Step, **parts: Any) -> Trace:
    net = Network(lambda s, x: s.o(step(s, s.a(x))), a=nn.Linear(5, 8), o=nn.Linear(8, 3), **parts)
    return trace_network(net, as_example((torch.randn(3, 5),)), training=False)


def branch(y: Tensor, function: Callable[..., Tensor], *more: Tensor) -> Tensor:
    return torch.cond(y.sum() > 0, function, lambda z, *_: z * 1, (y, *more))


def made(found: Trace) -> list[str]:
    return [entry.target for entry in found.state if entry.is_made]


def data(found: Trace) -> set[str]:
    held = {entry.placeholder: entry.target for entry in found.state if entry.is_held}
    return {held[node.name] for node in find_data(found.graph, held.keys())}


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: torch.arange(8), "arange"),
        (lambda: torch.arange(1, 9), "arange"),
        (lambda: torch.arange(0.0, 4.0, 0.5, dtype=torch.float64), "arange"),
        (lambda: torch.linspace(-1, 1, 8), "linspace"),
        (lambda: torch.logspace(-1, 1, 8), "logspace"),
        (lambda: torch.eye(8).sum(0), "eye"),
        (lambda: torch.eye(8, 8).sum(0), "eye"),
    ],
)
def test_a_table_made_of_numbers_is_a_constant_that_comes_before_the_inputs(
    make: Callable[[], Tensor], name: str
) -> None:
    found = trace(lambda _, y: y * make())
    assert made(found) == [f"lifted_{name}"] == list(found.constants)
    (entry,) = (entry for entry in found.state if entry.is_made)
    assert entry.is_constant
    assert entry.is_held
    table = found.constants[f"lifted_{name}"]
    torch.testing.assert_close(table.sum(0) if table.dim() > 1 else table, make(), rtol=0, atol=0)
    placeholders = [node.name for node in found.graph.nodes if node.op == "placeholder"]
    assert placeholders == [*(entry.placeholder for entry in found.state), *found.inputs]
    assert f"aten.{name}" not in str(found.graph)


@pytest.mark.parametrize(
    "step",
    [
        lambda s, y: y + s.t[torch.arange(8) % 4],
        lambda s, y: y + s.t[(torch.arange(8).float() / 2).floor().long()],
        lambda s, y: y + nn.functional.embedding(torch.arange(8), s.t[:, None])[:, 0],
        lambda _, y: y.gather(1, torch.arange(8).expand(y.shape[0], -1)),
        lambda _, y: y.index_select(1, torch.arange(8)),
        lambda _, y: y.masked_fill(torch.arange(8) < 4, 0.0),
        lambda _, y: y * (y.argmin() >= torch.arange(8)),
        lambda _, y: y * torch.arange(y.shape[0])[:, None],
        lambda _, y: y + torch.eye(4, 8).sum(0),
        lambda s, y: branch(y, lambda z, t: z + s.t[t % 4], torch.arange(8)),
        lambda s, y: y + s.t[branch(torch.arange(8.0), lambda t: t / 2).long()],
        lambda s, y: scan(lambda t, z: (t / 2, z + s.t[t.long()]), torch.arange(8.0) / 2, y)[1],
    ],
    ids=[
        "index", "floats", "lookup", "gather", "select", "compared", "argmin", "batch", "oblong", "in", "out", "carry",
    ],
)  # fmt: skip
def test_a_table_that_numbers_positions_stays_an_operator(step: Step) -> None:
    found = trace(step, t=nn.Parameter(torch.randn(4)))
    assert made(found) == []
    assert "aten.arange" in str(found.graph) or "aten.eye" in str(found.graph)


def test_buffers_and_constants_are_data_unless_they_number_positions() -> None:
    factors, indices = torch.rand(8), torch.arange(8)
    found = trace(
        lambda s, y: (y * s.gain * factors)[:, s.order][:, indices].masked_fill(s.mask, 0.0) * (y > s.level),
        gain=torch.rand(8), order=torch.arange(8), mask=torch.arange(8) > 3, level=torch.rand(8),
    )  # fmt: skip
    names = {id(value): name for name, value in found.constants.items()}
    assert data(found) == {"gain", "mask", "level", names[id(factors)]}
    assert names[id(indices)] not in data(found)


def test_tables_that_a_branch_reads_are_data_unless_they_number_positions_in_it() -> None:
    found = trace(
        lambda s, y: branch(branch(y, lambda z: z * s.gain), lambda z: z + s.t[s.order.long()]),
        gain=torch.rand(8), order=torch.arange(8.0), t=nn.Parameter(torch.rand(8)),
    )  # fmt: skip
    assert data(found) == {"gain"}
    assert made(trace(lambda _, y: branch(y, lambda z, t: z * t, torch.arange(8)))) == ["lifted_arange"]


def test_what_a_learned_value_meets_is_no_table_any_more() -> None:
    """The index is made of units, not of the table that they were multiplied with."""
    found = trace(lambda s, y: y + s.t[(y * s.gain).argmax(1)][:, None], gain=torch.rand(8), t=torch.rand(8))
    assert data(found) == {"gain", "t"}
