from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils import _pytree as pytree

from tests.slicing.checks.planted import make_network, run_fully
from widthwise.graph import Atom, Frozen, Product, Sum
from widthwise.slicing.checks import FullRun, NodeFailure, check_masked, check_restriction, check_shapes
from widthwise.slicing.checks.values import agree, cut_value, is_random, keep_mask, refuse_to_judge, zero_dropped


def test_a_full_run_gives_what_the_network_gives() -> None:
    network = make_network(lambda s, x: s.o(s.a(x).relu()))
    full = run_fully(network)
    net = network.net.double()
    node = full.program.trace.outputs[0]
    torch.testing.assert_close(full.values[node], net(*full.leaves), rtol=1e-12, atol=1e-12)


def test_values_are_in_double_precision_and_inputs_drawn_by_the_generator() -> None:
    network = make_network(lambda s, x: s.o(s.a(x).relu()))
    full = run_fully(network)
    assert {tensor.dtype for tensor in (*full.state, *full.leaves)} == {torch.float64}
    assert torch.equal(full.leaves[0], run_fully(network).leaves[0])
    assert not torch.equal(full.leaves[0], run_fully(network, seed=1).leaves[0])


@pytest.mark.parametrize(
    "function",
    [lambda s, x: s.o(s.a(x.float()).relu()), lambda s, x: s.o(s.a(x).relu() @ torch.ones(8, 8))],
    ids=["names a dtype", "makes a tensor of another"],
)
def test_a_network_that_insists_on_its_dtype_keeps_it(function) -> None:  # noqa: ANN001
    full = run_fully(make_network(function))
    assert {tensor.dtype for tensor in full.state} == {torch.float32}


def test_a_network_of_large_values_keeps_its_dtype(monkeypatch: pytest.MonkeyPatch) -> None:
    network = make_network(lambda s, x: s.o(s.a(x).relu()))
    memories = [tensor.untyped_storage() for tensor in pytree.tree_leaves(list(run_fully(network).values.values()))]
    size = sum({memory.data_ptr(): memory.nbytes() for memory in memories}.values())
    monkeypatch.setattr("widthwise.slicing.checks.values._FLOAT64_BYTES", size)
    assert {tensor.dtype for tensor in run_fully(network).state} == {torch.float64}
    monkeypatch.setattr("widthwise.slicing.checks.values._FLOAT64_BYTES", size - 1)
    full = run_fully(network)
    assert {tensor.dtype for tensor in pytree.tree_leaves([full.state, full.leaves, [*full.values.values()]])} == {
        torch.float32
    }


def test_an_error_of_the_network_itself_is_not_hidden() -> None:
    network = make_network(lambda s, x: s.o(s.a(x).relu()))
    network.net.o.weight = nn.Parameter(torch.zeros(3, 7))
    with pytest.raises(RuntimeError):
        run_fully(network)


def test_tensors_of_one_value_are_disturbed_and_the_network_is_not() -> None:
    network = make_network(lambda s, x: s.o(s.n(s.a(x))), n=nn.LayerNorm(8))
    full = run_fully(network)
    assert all(tensor.unique().numel() > 1 for tensor in full.state)
    assert torch.equal(network.net.n.weight, torch.ones(8))


def test_whole_numbers_are_left_alone() -> None:
    x = torch.randint(0, 7, (3, 4))
    full = run_fully(make_network(lambda s, x: s.o(s.e(x)), x, e=nn.Embedding(7, 8)))
    assert torch.equal(full.leaves[0], x)


def test_axes_have_the_sizes_of_this_run() -> None:
    full = run_fully(make_network(lambda s, x: s.o(s.a(x).relu())))
    relu = next(node for node in full.operators() if node.name == "relu")
    batch, units = full.axes(relu)
    assert batch == Frozen(3, "input of the model")
    assert full.atoms(relu) == {units.key: 8}
    assert full.cut(relu, {units.key: 2}).shape == (3, 2)
    assert full.tensor_axes(relu) == (batch, units)


def test_operators_before_a_cut_and_beside_it_are_untouched() -> None:
    network = make_network(
        lambda s, x: s.o(s.b(s.a(x).relu()).exp() + s.c(x).tanh().sum(-1, True)), b=nn.Linear(8, 8), c=nn.Linear(5, 8)
    )
    full = run_fully(network)

    def names(**widths: int) -> set[str]:
        return {node.name for node in full.untouched(network.kept(widths))}

    every = {node.name for node in full.operators()}
    assert names() == every
    assert names(b=2) == {"linear", "relu", "linear_2", "tanh", "sum_1"}
    assert names(c=2) == {"linear", "relu", "linear_1", "exp"}
    assert names(a=2) == {"linear_2", "tanh", "sum_1"}
    assert names(a=2, b=2, c=2) == set()


def test_an_operator_of_several_outputs_has_axes_for_each() -> None:
    full = run_fully(make_network(lambda s, x: s.o(s.a(x).split(4, -1)[1]), o=nn.Linear(4, 3)))
    split = next(node for node in full.operators() if node.name.startswith("split"))
    assert full.tensor_axes(split) is None
    assert [tuple(tensor.shape) for tensor, _ in full.outputs(split, full.values[split])] == [(3, 4), (3, 4)]
    assert isinstance(full.cut(split, {}), list | tuple)


def test_a_cut_gathers_along_every_axis() -> None:
    x = torch.arange(24.0).reshape(4, 6)
    axes = (Atom(1, 4), Product((Atom(2, 2), Frozen(3, "rest"))))
    assert torch.equal(cut_value(x, axes, {1: 2, 2: torch.tensor([1])}), x[:2, 3:])
    assert torch.equal(cut_value(x, axes, {}), x)


def test_first_units_of_an_axis_are_cut_without_a_copy_and_given_out_packed() -> None:
    x = torch.arange(24.0).reshape(4, 6)
    part = cut_value(x, (Atom(1, 4), Atom(2, 6)), {1: 2, 2: 3})
    assert torch.equal(part, x[:2, :3])
    assert part.data_ptr() == x.data_ptr()
    full = run_fully(make_network(lambda s, x: s.o(s.a(x).relu())))
    relu = next(node for node in full.operators() if node.name == "relu")
    kept = dict.fromkeys(full.atoms(relu), 2)
    assert torch.equal(full.cut(relu, kept), full.values[relu][:, :2])
    assert full.cut(relu, kept).is_contiguous()
    assert all(tensor.is_contiguous() for tensor in full.cut_state(kept))


def test_a_mask_is_true_where_every_axis_is_kept() -> None:
    mask = keep_mask(torch.zeros(3, 4), (Atom(1, 3), Sum((Atom(2, 2), Frozen(2, "rest")))), {1: 2, 2: 1})
    assert mask.tolist() == [[True, False, True, True], [True, False, True, True], [False] * 4]
    assert bool(keep_mask(torch.zeros(()), (), {1: 2}))


def test_dropped_positions_are_zero_whatever_they_held() -> None:
    x = torch.tensor([[1.0, float("nan"), float("inf")], [float("-inf"), 2.0, 3.0]])
    axes = (Atom(1, 2), Atom(2, 3))
    assert zero_dropped(x, axes, {1: 1, 2: 1}).tolist() == [[1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
    assert zero_dropped(x, axes, {3: 1}) is x


def test_the_shape_of_a_cut_is_known_without_it() -> None:
    full = run_fully(
        make_network(lambda s, x: s.o(s.a(x).view(-1, 2, 4).flatten(1).split(4, -1)[0]), o=nn.Linear(4, 3))
    )
    kept = {key: 1 for node in full.operators() for key in full.atoms(node)}
    shapes = {node.name: full.cut_shape(node, kept) for node in full.operators()}
    assert shapes["linear"] is not None
    assert not any(name.startswith("split") and shape for name, shape in shapes.items())
    for node in full.operators():
        assert shapes[node.name] is None or shapes[node.name] == tuple(full.cut(node, kept).shape)


def test_agreement_is_relative_to_the_largest_entry() -> None:
    one = torch.tensor([1e3, 1.0], dtype=torch.float64)
    assert agree(one, one + torch.tensor([0.0, 1e-7], dtype=torch.float64))
    assert not agree(one, one + torch.tensor([0.0, 1e-5], dtype=torch.float64))
    assert agree(one.float(), one.float() + torch.tensor([0.0, 0.01]))
    assert not agree(one.float(), one.float() + torch.tensor([0.0, 1.0]))


def test_shapes_whole_numbers_and_infinities_must_be_equal() -> None:
    assert not agree(torch.zeros(2), torch.zeros(2, 1))
    assert not agree(torch.tensor([1, 2]), torch.tensor([1, 3]))
    assert agree(torch.zeros(0), torch.zeros(0))
    endless = torch.tensor([float("inf"), 1.0])
    assert agree(endless, endless.clone())
    assert not agree(endless, torch.tensor([1.0, 1.0]))
    assert not agree(endless, torch.tensor([float("-inf"), 1.0]))
    assert not agree(endless, torch.tensor([float("nan"), 1.0]))
    assert not agree(endless, torch.tensor([float("inf"), 2.0]))
    assert agree(torch.tensor([3e38]), torch.tensor([3e38]))
    assert not agree(torch.tensor([3e38]), torch.tensor([-3e38]))
    assert agree(torch.tensor([float("nan")]), torch.tensor([float("nan")]))


def test_operators_that_draw_are_known() -> None:
    network = make_network(lambda s, x: s.o(s.a(x)) + torch.rand_like(x)[:, :3] + torch.empty_like(x)[:, :3])
    names = {node.name: is_random(node) for node in run_fully(network).operators()}
    assert names["rand_like"]
    assert names["empty_like"]
    assert not names["linear"]


@pytest.mark.parametrize("draw", [torch.rand_like, torch.empty_like, torch.zeros_like])
def test_a_branch_draws_where_what_is_inside_does(draw: Callable[..., Any]) -> None:
    network = make_network(lambda s, x: s.o(torch.cond(x.sum() > 0, lambda y: y + draw(y), torch.sin, (s.a(x),))))
    (node,) = [node for node in run_fully(network).operators() if node.name == "cond"]
    assert is_random(node) is (draw is not torch.zeros_like)
    assert check_masked(run_fully(network), network.kept({"a": 2})) == []


def test_a_failure_is_one_line() -> None:
    assert str(NodeFailure(check="shapes", node="relu", reason="is off")) == "shapes: relu is off"


@pytest.mark.parametrize(
    "error",
    [MemoryError(), torch.OutOfMemoryError("CUDA"), RuntimeError("DefaultCPUAllocator: can't allocate memory: you")],
)
@pytest.mark.parametrize(("check", "method"), [(check_shapes, "cut_state"), (check_restriction, "cut")])
def test_a_lack_of_memory_is_no_fault_of_an_operator(
    monkeypatch: pytest.MonkeyPatch, check: Callable[..., Any], method: str, error: Exception
) -> None:
    network = make_network(lambda s, x: s.o(s.a(x).relu()))
    full = run_fully(network)

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(FullRun, method, fail)
    with pytest.raises(type(error)):
        check(full, network.kept({"a": 2}))
    refuse_to_judge(ValueError("shape '[2, 3]' is invalid"))
