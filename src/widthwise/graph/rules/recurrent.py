"""Recurrent layers: LSTM, GRU and plain RNN, stacked, in both directions, with projection; and their single steps.

The rows of a weight are gates x units; every gate has the units of the state. The states that a stacked or
bidirectional layer starts from lie in one tensor, so all its layers and directions have the same units.
"""

from collections.abc import Iterator, Sequence
from itertools import islice

from widthwise.graph.call import Axes, Call, Outcome
from widthwise.graph.rules.registry import rule
from widthwise.graph.term import Term, join_segments, quotient, size_of

__all__: list[str] = []


@rule("lstm.input")
def lstm(call: Call) -> Outcome:
    """Output, and the last hidden and cell states."""
    hidden, cell = (call.axes(node) for node in call.arguments["hx"])
    for one, other in zip(hidden[:-1], cell[:-1], strict=True):
        call.unify(one, other)
    output = _run_layers(call, hidden, cell[-1])
    return Outcome(outputs=(output, (*hidden[:-1], call.solver.resolve(hidden[-1])), cell))


@rule("gru.input", "rnn_tanh.input", "rnn_relu.input")
def recurrent(call: Call) -> Outcome:
    """Output, and the last hidden states."""
    hidden = call.axes("hx")
    return Outcome(outputs=(_run_layers(call, hidden, hidden[-1]), hidden))


@rule("lstm_cell")
def lstm_cell(call: Call) -> Outcome:
    """The next hidden and cell states."""
    hidden, cell = (call.axes(node) for node in call.arguments["hx"])
    for one, other in zip(hidden, cell, strict=True):
        call.unify(one, other)
    return Outcome(outputs=(_run_cell(call, hidden), cell))


@rule("gru_cell", "rnn_tanh_cell", "rnn_relu_cell")
def recurrent_cell(call: Call) -> Outcome:
    """The next hidden state."""
    return Outcome(outputs=(_run_cell(call, call.axes("hx")),))


def _run_cell(call: Call, hidden: Axes) -> Axes:
    """Tie the weights of a single step, and return the axes of the next state."""
    x = call.axes("input")
    for one, other in zip(x[:-1], hidden[:-1], strict=True):
        call.unify(one, other)
    weights = [call.axes(name) for name in ("w_ih", "w_hh", "b_ih", "b_hh") if call.has(name)]
    _tie_weights(call, weights, x[-1], hidden[-1], hidden[-1])
    return hidden


def _run_layers(call: Call, hidden: Axes, units: Term) -> Axes:
    """Tie the weights of every layer, and return the axes of the output.

    Args:
        call: The layer.
        hidden: Axes of the first hidden state: layers x directions, batch, outputs.
        units: The units of the cells: those of the output but for a projection.
    """
    x, outputs = call.axes("input"), hidden[-1]
    call.freeze([*x[:-1], *hidden[:-1]], " steps along this axis")
    directions = 2 if call.arguments["bidirectional"] else 1
    weights = iter([call.axes(node) for node in call.arguments["params"]])
    is_projected = size_of(outputs) != size_of(units)
    per_direction = (4 if call.arguments["has_biases"] else 2) + (1 if is_projected else 0)
    if is_projected:
        # The operator tells a projection from none by its being narrower.
        call.freeze([units], " must have more cells than it projects them to")
    else:
        call.unify(outputs, units)
    given = x[-1]
    for _ in range(call.arguments["num_layers"]):
        for _ in range(directions):
            _tie_weights(call, _take(weights, per_direction), given, outputs, units)
        given = join_segments((call.solver.resolve(outputs),) * directions)
    return (*x[:-1], given)


def _take(weights: Iterator[Axes], number: int) -> list[Axes]:
    return list(islice(weights, number))


def _tie_weights(call: Call, weights: Sequence[Axes], given: Term, outputs: Term, units: Term) -> None:
    """Tie the weights of one cell: what it is given, what it was, biases, and the projection of its units."""
    from_input, from_state, *others = weights
    call.contract(given, from_input[1])
    call.contract(outputs, from_state[1])
    projections = [axes for axes in others if len(axes) == 2]
    for axes in (from_input, from_state, *(axes for axes in others if len(axes) == 1)):
        _tie_gates(call, axes[0], units)
    for axes in projections:
        call.unify(outputs, axes[0])
        call.contract(units, axes[1])


def _tie_gates(call: Call, rows: Term, units: Term) -> None:
    num_gates = quotient(size_of(rows), size_of(units))
    assert isinstance(num_gates, int)
    for gate in call.solver.cut(rows, (size_of(units),) * num_gates, f"gates of {call.name}"):
        call.unify(gate, units)
