from typing import Any

import pytest
import sympy
import torch
from torch import Tensor, fx, nn

from tests.traps import Network
from widthwise.graph import Axes, Call, Frozen, Outcome, Solver, Term, as_example, trace_network

aten = torch.ops.aten
BATCH = sympy.Symbol("batch", integer=True, positive=True)


def call(target: Any, *args: Any, axes: list[Axes] | None = None, solver: Solver | None = None, **kwargs: Any) -> Call:
    """A call whose tensor arguments are the given shapes' axes."""
    graph, solver = fx.Graph(), solver or Solver()
    known: dict[fx.Node, tuple[Axes, ...]] = {}

    def hold(value: Any) -> Any:
        if isinstance(value, Tensor):
            node = graph.placeholder("x")
            given = axes[len(known)] if axes else tuple(solver.fresh(size) for size in value.shape)
            known[node] = (given,)
            return node
        return [hold(each) for each in value] if isinstance(value, list) else value

    node = graph.call_function(target, tuple(hold(arg) for arg in args), kwargs)
    node.meta["val"] = target(*args, **kwargs)
    return Call(node, solver, known)


def test_arguments_are_told_by_name_with_their_defaults() -> None:
    found = call(aten.sum.dim_IntList, torch.zeros(2, 3), [1])
    assert found.arguments["dim"] == [1]
    assert found.arguments["keepdim"] is False
    assert found.has("self")
    assert not found.has("dim")
    assert not found.has("bias")


def test_axes_are_told_with_everything_known_about_them() -> None:
    solver = Solver()
    found = call(aten.add.Tensor, torch.zeros(4), torch.zeros(4), solver=solver)
    one, other = found.axes("self")[0], found.axes("other")[0]
    found.unify(one, other)
    assert found.axes("other") == (one,)
    assert found.axes(found.arguments["other"]) == (one,)


def test_tensors_are_found_inside_lists_and_in_any_place() -> None:
    assert len(call(aten.cat.default, [torch.zeros(2), torch.zeros(3)]).tensors()) == 2
    assert len(call(aten.pow.Scalar, 2, torch.zeros(2)).tensors()) == 1
    assert call(aten.zeros.default, [2]).tensors() == []


@pytest.mark.parametrize(("dim", "expected"), [(0, 0), (-1, 2), (2, 2)])
def test_an_axis_is_counted_from_the_front(dim: int, expected: int) -> None:
    assert call(aten.softmax.int, torch.zeros(2, 3, 4), dim).dim() == expected


@pytest.mark.parametrize(("dim", "expected"), [([-1, 0], (2, 0)), ([1], (1,)), ([], (0, 1, 2)), (None, (0, 1, 2))])
def test_axes_are_counted_from_the_front_and_none_means_all(dim: Any, expected: tuple[int, ...]) -> None:
    assert call(aten.sum.dim_IntList, torch.zeros(2, 3, 4), dim).dims() == expected


def test_a_scalar_has_no_axes_to_count() -> None:
    assert call(aten.sum.dim_IntList, torch.zeros(()), [0]).dims() == ()
    assert call(aten.softmax.int, torch.zeros(()), -1).dim() == 0
    assert call(aten.argmax.default, torch.zeros(2, 3), -1).dims() == (1,)


def test_everything_frozen_gives_frozen_outputs_for_the_same_reason() -> None:
    found = call(aten.cat.default, [torch.zeros(2, 3), torch.zeros(2, 4)], 1)
    outcome = found.freeze_everything("unknown operator")
    assert outcome == Outcome(outputs=((Frozen(2, "unknown operator"), Frozen(7, "unknown operator")),))
    assert all(isinstance(term, Frozen) for node in found.tensors() for term in found.axes(node))


def test_freezing_names_the_operator_and_why() -> None:
    found = call(aten.roll.default, torch.zeros(3), [1])
    found.freeze(found.axes("self"), " works along this axis")
    assert found.axes("self") == (Frozen(3, "aten.roll works along this axis"),)
    assert found.frozen_output().outputs == ((Frozen(3, "aten.roll"),),)


def test_contracted_axes_agree_and_are_read() -> None:
    found = call(aten.mm.default, torch.zeros(2, 3), torch.zeros(3, 4))
    found.contract(found.axes("self")[1], found.axes("mat2")[0])
    assert found.axes("self")[1] == found.axes("mat2")[0]
    assert found.solver.read_atoms == {found.axes("self")[1]}


def test_what_is_read_is_listed_with_the_call() -> None:
    found = call(aten.mm.default, torch.zeros(2, 3), torch.zeros(3, 4))
    assert found.reads == []
    found.read(found.axes("self")[0])
    found.contract(found.axes("self")[1], found.axes("mat2")[0])
    assert found.reads == list(found.axes("self"))


def test_fresh_outputs_are_the_same_in_every_pass() -> None:
    found = call(aten.zeros.default, [2, 3])
    assert found.fresh_output() == found.fresh_output()
    assert found.fresh_output()[0] != found.fresh_output()[1]


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [([(2, 3), (3,)], (2, 3)), ([(2, 1), (1, 3)], (2, 3)), ([(1,), (1, 1)], (1, 1)), ([(), (2,)], (2,)), ([], ())],
)
def test_axes_broadcast_from_the_right(sizes: list[tuple[int, ...]], expected: tuple[int, ...]) -> None:
    found = call(aten.relu.default, torch.zeros(2))
    every: list[Axes] = [tuple(found.solver.fresh(size) for size in shape) for shape in sizes]
    assert tuple(getattr(term, "size", 0) for term in found.broadcast(every)) == expected


def test_wide_axes_are_tied_and_a_dynamic_one_is_wide() -> None:
    found = call(aten.relu.default, torch.zeros(2))
    batch = Frozen(BATCH, "input of the model")
    units: list[Term] = [found.solver.fresh(4) for _ in range(3)]
    one = Frozen(1, "size 1")
    assert found.broadcast([(batch, units[0]), (one, units[1]), (units[2],)]) == (batch, units[0])
    assert all(found.solver.resolve(term) == units[0] for term in units)


def test_the_operator_is_named_with_the_line_of_the_users_code() -> None:
    net = Network(lambda s, x: nn.functional.relu(s.a(x)), a=nn.Linear(5, 8))
    trace = trace_network(net, as_example((torch.randn(3, 5),)), training=False)
    relu = next(node for node in trace.graph.nodes if node.name == "relu")
    name = Call(relu, Solver(), {}).name
    assert name.startswith("aten.relu (network.py:")
    assert name[:-1].rpartition(":")[2].isdigit()


def test_without_a_line_the_operator_is_named_alone() -> None:
    found = call(aten.add.Tensor, torch.zeros(2), torch.zeros(2))
    assert found.name == "aten.add"
    found.node.meta["stack_trace"] = f'  File "{torch.__file__}", line 3, in forward\n'
    assert found.name == "aten.add"
    found.node.meta["stack_trace"] += '  File "/home/me/net.py", line 12, in forward\n'
    assert found.name == "aten.add (net.py:12)"
    found.node.meta["stack_trace"] += '  File "<eval_with_key>.3", line 7, in forward\n'
    assert found.name == "aten.add (net.py:12)"
