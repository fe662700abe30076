from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tests.graph.rules.node import Node, randn
from widthwise.graph import Atom, Frozen, Sum

aten = torch.ops.aten
SIZES = st.integers(2, 3)
PLAIN = [aten.rnn_tanh.input, aten.rnn_relu.input]
CELLS = [(aten.lstm_cell.default, 4), (aten.gru_cell.default, 3), (aten.rnn_tanh_cell.default, 1),
         (aten.rnn_relu_cell.default, 1)]  # fmt: skip


def weights(
    inputs: int, units: int, *, gates: int, layers: int, directions: int, bias: bool, projection: int
) -> list[Tensor]:
    outputs, found, given_units = projection or units, [], inputs
    for _ in range(layers):
        for _ in range(directions):
            shapes = [(gates * units, given_units), (gates * units, outputs), *[(gates * units,)] * (2 * bias)]
            found += [*shapes, *([(projection, units)] if projection else [])]
        given_units = outputs * directions
    return [randn(*shape, seed=i) for i, shape in enumerate(found)]


def run(
    target: Any = aten.lstm.input, *, gates: int = 4, inputs: int = 3, units: int = 4, layers: int = 1,
    directions: int = 1, bias: bool = True, projection: int = 0, batch_first: bool = True,
) -> Node:  # fmt: skip
    """A recurrent layer over 5 steps in 2 samples."""
    state = randn(layers * directions, 2, projection or units)
    hx: Any = [state, randn(layers * directions, 2, units, seed=1)] if target is aten.lstm.input else state
    params = weights(inputs, units, gates=gates, layers=layers, directions=directions, bias=bias, projection=projection)
    x = randn(2, 5, inputs) if batch_first else randn(5, 2, inputs)
    return Node(target, x, hx, params, bias, layers, 0.0, False, directions == 2, batch_first)


@pytest.mark.parametrize(
    ("target", "gates"), [(aten.lstm.input, 4), (aten.gru.input, 3), *((each, 1) for each in PLAIN)]
)
@given(SIZES, SIZES, st.integers(1, 2), st.integers(1, 2), st.booleans(), st.booleans())
def test_all_gates_layers_and_directions_have_the_units_of_the_state(
    target: Any, gates: int, inputs: int, units: int, layers: int, directions: int, bias: bool, batch_first: bool
) -> None:
    node = run(target, gates=gates, inputs=inputs, units=units, layers=layers, directions=directions, bias=bias,
               batch_first=batch_first)  # fmt: skip
    x, state = node.inputs[:2]
    hidden = state[-1]
    assert set(node.atoms.values()) == {x[2], hidden}
    rows = node.inputs[3 if target is aten.lstm.input else 2][0]
    assert rows == (Sum((hidden,) * gates) if gates > 1 else hidden)
    assert node.outputs[0][2] == (Sum((hidden,) * 2) if directions == 2 else hidden)
    assert all(axes[2] == hidden for axes in node.outputs[1:])
    assert node.solver.read_atoms == {x[2], hidden}
    assert node.check() == "Z"


def test_the_states_that_an_lstm_starts_from_are_tied_to_its_weights() -> None:
    """Item 4: the operator does not check them on the CPU, and reads past their end."""
    node = run(layers=2)
    hidden, cell = node.inputs[1:3]
    assert hidden[-1] == cell[-1]
    assert hidden[-1] in node.inputs[4][1:]
    assert all(isinstance(term, Frozen) for axes in (hidden, cell) for term in axes[:-1])


@pytest.mark.parametrize("batch_first", [False, True])
def test_steps_samples_and_layers_keep_their_number(batch_first: bool) -> None:
    node = run(batch_first=batch_first, layers=2)
    for axis in (0, 1):
        assert node.reason(0, axis) == "aten.lstm steps along this axis"
        assert node.reason(1, axis) == "aten.lstm steps along this axis"


@given(st.integers(1, 2), st.integers(1, 2))
def test_a_projection_has_units_of_its_own_and_cells_that_outnumber_them(layers: int, directions: int) -> None:
    """With as few cells as outputs the operator would take the projection for one more weight."""
    node = run(units=4, projection=2, layers=layers, directions=directions)
    hidden, cell = node.inputs[1:3]
    assert isinstance(hidden[-1], Atom)
    assert node.reason(2, 2) == "aten.lstm must have more cells than it projects them to"
    assert node.outputs[1][-1] == hidden[-1]
    assert node.outputs[2][-1] == cell[-1]
    assert node.solver.read_atoms == {node.inputs[0][2], hidden[-1]}
    assert node.check() == "Z"


@pytest.mark.parametrize(("target", "gates"), CELLS)
@given(SIZES, SIZES, SIZES, st.booleans())
def test_a_single_step_is_tied_as_a_layer_is(
    target: Any, gates: int, batch: int, inputs: int, units: int, bias: bool
) -> None:
    state = randn(batch, units)
    hx: Any = [state, randn(batch, units, seed=1)] if target is aten.lstm_cell.default else state
    node = Node(target, randn(batch, inputs), hx, *weights(
        inputs, units, gates=gates, layers=1, directions=1, bias=bias, projection=0))  # fmt: skip
    x, state_axes = node.inputs[:2]
    assert set(node.atoms.values()) == {x[0], x[1], state_axes[1]}
    assert all(axes == (x[0], state_axes[1]) for axes in node.outputs)
    assert node.solver.read_atoms == {x[1], state_axes[1]}
    assert node.check() == "Z"
