import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.graph.rules.node import Node, randn
from tests.traps import SOUND
from widthwise.graph import Frozen, Solver, StateAxes, as_example, infer_axes, trace_network

aten = torch.ops.aten
SIZES = st.integers(2, 5)


@given(SIZES, SIZES, SIZES, st.booleans())
def test_linear_carries_rows_and_outputs_and_sums_over_inputs(rows: int, units: int, outputs: int, bias: bool) -> None:
    args = (randn(rows, units), randn(outputs, units), *([randn(outputs)] if bias else []))
    node = Node(aten.linear.default, *args)
    x, weight, *rest = node.inputs
    assert x[1] == weight[1]
    assert node.outputs == [(x[0], weight[0])]
    assert all(axes == (weight[0],) for axes in rest)
    assert node.solver.read_atoms == {x[1]}
    assert node.outcome.contracted == {"weight": 1}
    assert node.check() == "Z"


def test_linear_with_one_output_has_a_frozen_axis_for_it() -> None:
    node = Node(aten.linear.default, randn(3, 4), randn(1, 4), randn(1))
    assert node.outputs[0][1] == Frozen(1, "size 1, which leaves no choice")
    assert node.check() == "Z"


def test_linear_takes_any_number_of_leading_axes() -> None:
    node = Node(aten.linear.default, randn(2, 3, 4), randn(5, 4))
    assert node.outputs[0][:2] == node.inputs[0][:2]
    assert node.check() == "Z"
    assert Node(aten.linear.default, randn(4), randn(5, 4)).check() == "Z"


def test_linear_with_a_vector_for_a_weight_has_no_outputs_to_carry() -> None:
    node = Node(aten.linear.default, randn(3, 4), randn(4))
    assert node.outputs == [node.inputs[0][:1]]
    assert node.outcome.contracted == {"weight": 0}
    assert node.check() == "Z"


@settings(max_examples=15)
@given(SIZES, SIZES, SIZES, st.integers(2, 3))
def test_matrix_products_sum_over_the_inner_axis(rows: int, inner: int, columns: int, batch: int) -> None:
    for target, left, right in (
        (aten.mm.default, (rows, inner), (inner, columns)),
        (aten.matmul.default, (rows, inner), (inner, columns)),
        (aten.matmul.default, (batch, rows, inner), (inner, columns)),
        (aten.matmul.default, (rows, inner), (batch, inner, columns)),
        (aten.matmul.default, (2, 1, rows, inner), (batch, inner, columns)),
        (aten.bmm.default, (batch, rows, inner), (batch, inner, columns)),
    ):
        node = Node(target, randn(*left), randn(*right, seed=1))
        assert node.inputs[0][-1] == node.inputs[1][-2]
        assert node.inputs[0][-1] in node.solver.read_atoms
        assert node.check() == "Z"


def test_units_are_read_by_the_operand_that_is_a_weight() -> None:
    assert Node(aten.mm.default, randn(3, 4), randn(4, 5)).outcome.contracted == {"mat2": 0}
    assert Node(aten.matmul.default, randn(3, 4), randn(2, 4, 5)).outcome.contracted == {"other": 1}
    net, inputs = SOUND["matrices from the left"].make()
    solver = Solver()
    inference = infer_axes(trace_network(net, as_example(inputs), training=False), StateAxes(net, solver), solver)
    found = [outcome.contracted for outcome in inference.outcomes.values() if outcome.contracted]
    assert found == [{"self": 1}, {"self": 1}]


@pytest.mark.parametrize(
    ("target", "left", "right"),
    [
        (aten.mv.default, (3, 4), (4,)),
        (aten.dot.default, (4,), (4,)),
        (aten.matmul.default, (4,), (4,)),
        (aten.matmul.default, (3, 4), (4,)),
        (aten.matmul.default, (4,), (4, 3)),
        (aten.matmul.default, (4,), (2, 4, 3)),
        (aten.matmul.default, (2, 3, 4), (4,)),
    ],
)
def test_a_vector_loses_the_axis_it_is_summed_over(
    target: object, left: tuple[int, ...], right: tuple[int, ...]
) -> None:
    node = Node(target, randn(*left), randn(*right, seed=1))
    assert node.inputs[0][-1] == node.inputs[1][max(len(right) - 2, 0)]
    assert node.check() == "Z"


@settings(max_examples=10)
@given(SIZES, SIZES, SIZES)
def test_the_added_matrix_broadcasts(rows: int, inner: int, columns: int) -> None:
    for added in ((columns,), (rows, columns), (1, columns), (rows, 1), (1,)):
        node = Node(aten.addmm.default, randn(*added), randn(rows, inner), randn(inner, columns))
        assert node.outcome.contracted == {"mat2": 0}
        assert node.check() == "Z"
        batched = Node(aten.baddbmm.default, randn(*added), randn(2, rows, inner), randn(2, inner, columns))
        assert batched.outcome.contracted == {"batch2": 1}
        assert batched.check() == "Z"


def test_experts_and_their_sorted_rows_keep_their_number() -> None:
    """Looked at without being run on cut inputs: the operator takes only rows of whole 16 bytes."""
    ends = torch.tensor([3, 8], dtype=torch.int32)
    node = Node(aten._grouped_mm.default, torch.randn(8, 16), torch.randn(2, 16, 4), ends)
    reason = "aten._grouped_mm tells the positions of this axis apart"
    assert node.reason(0, 0) == node.reason(1, 0) == node.reason(2, 0) == reason
    assert node.inputs[0][1] == node.inputs[1][1]
    assert node.outputs == [(node.inputs[0][0], node.inputs[1][2])]
    assert len(node.atoms) == 2
    assert node.outcome.contracted == {"mat2": 1}
