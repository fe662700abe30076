"""How a carried state stands in the graph; tests/elastic/test_carried.py holds what it does."""

import pytest
import torch
from torch import Tensor, nn

from widthwise._shared import TraceError
from widthwise.graph import Atom, Example, Frozen, Solver, StateAxes, infer_axes, let_carry, trace_network
from widthwise.graph.carried import writes_state


class Step(nn.Module):
    def __init__(self, copies: int = 1) -> None:
        super().__init__()
        self.given, self.kept, self.head = nn.Linear(3, 6), nn.Linear(6, 6), nn.Linear(6, 2)
        self.copies = copies

    def forward(self, x: Tensor, state: Tensor) -> tuple[Tensor, ...]:
        state = torch.tanh(self.given(x) + self.kept(state))
        return self.head(state), *(state + i for i in range(self.copies))


EXAMPLE = Example(args=(torch.zeros(2, 3), torch.zeros(2, 6)), kwargs={})


def test_units_that_read_a_state_are_those_that_write_it() -> None:
    net = Step().eval()
    trace = let_carry(trace_network(net, EXAMPLE, training=False), net, EXAMPLE, "state")
    (writer,) = [node for node in trace.graph.nodes if writes_state(node)]
    assert trace.outputs[1] is writer
    solver = Solver()
    axes = StateAxes(net, solver)
    found = infer_axes(trace, axes, solver)
    rows, columns = (solver.resolve(term) for term in axes.of("kept.weight"))
    assert isinstance(rows, Atom)
    assert rows == columns == solver.resolve(axes.of("head.weight")[1])
    assert isinstance(found.axes_of(writer)[1], Frozen)


@pytest.mark.parametrize(("copies", "number"), [(0, 0), (2, 2)])
def test_a_state_that_not_exactly_one_output_hands_back_is_an_error(copies: int, number: int) -> None:
    net = Step(copies).eval()
    trace = trace_network(net, EXAMPLE, training=False)
    message = (
        "^carried must name a state that one output hands back, with units along its last axis, but "
        f"{number} outputs have the shapes of state; return it as one output, as in return y, state$"
    )
    with pytest.raises(TraceError, match=message):
        let_carry(trace, net, EXAMPLE, "state")
