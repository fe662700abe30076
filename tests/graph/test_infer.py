from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

from tests.traps import SOUND, Network
from widthwise.graph import (
    Atom,
    Call,
    Frozen,
    Inference,
    Outcome,
    Product,
    Solver,
    StateAxes,
    Sum,
    as_example,
    infer_axes,
    size_of,
    state_tensor,
    trace_network,
)
from widthwise.graph.rules import registry


def infer(net: nn.Module, *inputs: Any, training: bool = False) -> tuple[Inference, StateAxes]:
    solver = Solver()
    state = StateAxes(net, solver)
    return infer_axes(trace_network(net, as_example(inputs), training=training), state, solver), state


def make(name: str) -> tuple[Inference, StateAxes]:
    net, inputs = SOUND[name].make()
    return infer(net, *inputs)


def axes(found: tuple[Inference, StateAxes], target: str) -> tuple[Any, ...]:
    return tuple(found[0].solver.resolve(term) for term in found[1].targets[target])


def test_inputs_and_outputs_of_the_network_are_frozen_and_hidden_units_are_not() -> None:
    found = infer(nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 3)), torch.randn(3, 5))
    assert axes(found, "0.weight")[1] == Frozen(5, "input of the model")
    assert axes(found, "2.weight")[0] == Frozen(3, "output of the model")
    assert isinstance(axes(found, "0.weight")[0], Atom)
    assert axes(found, "0.weight")[0] == axes(found, "2.weight")[1] == axes(found, "0.bias")[0]


def test_every_node_has_axes_of_its_shape() -> None:
    for name in ("19 heads and what is in them", "a channel shuffle", "units folded into the batch"):
        inference, _ = make(name)
        for node, outputs in inference.axes.items():
            for output in range(len(outputs)):
                value = node.meta["val"] if isinstance(node.meta["val"], torch.Tensor) else node.meta["val"][output]
                sizes = [size_of(term) for term in inference.axes_of(node, output)]
                assert all(
                    str(size) == str(shape) or size == shape for size, shape in zip(sizes, value.shape, strict=True)
                )


def test_a_flattened_picture_is_a_product_and_a_concatenation_a_sum() -> None:
    found = make("a residual, a concatenation and a flattened image")
    flat = axes(found, "o.weight")[1]
    assert isinstance(flat, Product)
    joined, image = flat.factors
    assert isinstance(joined, Sum)
    assert joined.parts == (axes(found, "c.weight")[0], axes(found, "e.weight")[0])
    assert image == Frozen(12, "aten.conv2d") or size_of(image) == 12


def test_tied_names_share_their_axes_and_are_all_told() -> None:
    found = make("12 tied modules")
    assert axes(found, "h.weight") == axes(found, "e.weight")
    assert isinstance(axes(found, "e.weight")[0], Frozen)
    assert found[1].names("e.weight") == found[1].names("h.weight") == ["h.weight", "e.weight"]


def test_views_of_one_storage_that_differ_are_not_tied() -> None:
    net = Network(lambda s, x: s.o(s.a(x)) + s.w.sum(), a=nn.Linear(5, 8), o=nn.Linear(8, 3))
    net.w = nn.Parameter(net.a.weight.detach().t())
    assert StateAxes(net, Solver()).names("w") == ["w"]


def test_tables_of_whole_numbers_are_frozen_since_they_may_be_an_index() -> None:
    found = make("3 an embedding of a table of numbers")
    assert axes(found, "ix") == (Frozen(3, "table of whole numbers, which may be an index"),)


def test_an_operator_without_a_rule_freezes_all_that_it_touches_and_names_itself() -> None:
    net = Network(lambda s, x: s.o(s.a(x)) + s.q(s.b(x).rot90(2)), a=nn.Linear(5, 8), o=nn.Linear(8, 3),
                  b=nn.Linear(5, 6), q=nn.Linear(6, 3))  # fmt: skip
    found = infer(net, torch.randn(3, 5))
    term = axes(found, "b.weight")[0]
    assert isinstance(term, Frozen)
    assert term.reason.startswith("unknown operator aten.rot90 (network.py:")
    assert isinstance(axes(found, "a.weight")[0], Atom)


def test_a_rule_that_does_not_fit_a_call_freezes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry._RULES, "aten::relu", lambda call: Outcome(outputs=(call.axes("self")[:1],)))
    found = infer(nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 3)), torch.randn(3, 5))
    assert axes(found, "0.weight")[0] == Frozen(8, "the rule for aten.relu does not fit this call")


def test_units_may_meet_tables_that_are_made_of_numbers_and_constants() -> None:
    net = Network(
        lambda s, x: s.o(s.a(x) * torch.arange(8.0) * torch.tensor([1.0, 2.0] * 4)), a=nn.Linear(5, 8),
        o=nn.Linear(8, 3),
    )  # fmt: skip
    found, _ = infer(net, torch.randn(3, 5))
    term = found.axes_of(found.trace.placeholder("p_a_weight"))[0]
    assert isinstance(term, Atom)
    held = [entry.placeholder for entry in found.trace.state if entry.is_constant]
    assert len(held) == 2
    assert [found.axes_of(found.trace.placeholder(name)) for name in held] == [(term,), (term,)]


def test_constants_of_whole_numbers_and_those_that_number_positions_are_frozen() -> None:
    numbers, places = torch.arange(8), torch.arange(8.0)
    net = Network(
        lambda s, x: s.o(s.a(x) * numbers) + s.o(s.b(x)[:, places.long()]), a=nn.Linear(5, 8), b=nn.Linear(5, 8),
        o=nn.Linear(8, 3),
    )  # fmt: skip
    found, state = infer(net, torch.randn(3, 5))
    whole = "table of whole numbers, which may be an index"
    assert axes((found, state), "a.weight")[0] == Frozen(8, whole)
    reasons = {
        term.reason
        for entry in found.trace.state
        if entry.is_constant
        for term in found.axes_of(found.trace.placeholder(entry.placeholder))
        if isinstance(term, Frozen)
    }
    assert reasons == {whole, "table that numbers positions"}


def test_a_mask_that_one_mode_selects_with_is_frozen_from_then_on() -> None:
    class Masked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.o = nn.Linear(5, 8), nn.Linear(8, 3)
            self.register_buffer("mask", torch.arange(8) > 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.a(x)
            if self.training:
                return self.o(y) + y[:, self.mask].sum()
            return self.o(y.masked_fill(self.mask, 0.0))

    net, solver = Masked(), Solver()
    state, example = StateAxes(net, solver), as_example((torch.randn(3, 5),))
    infer_axes(trace_network(net, example, training=False), state, solver)
    assert isinstance(solver.resolve(state.targets["mask"][0]), Atom)
    infer_axes(trace_network(net, example, training=True), state, solver)
    assert solver.resolve(state.targets["mask"][0]) == Frozen(8, "table that numbers positions")


def test_a_number_that_measures_units_freezes_them(monkeypatch: pytest.MonkeyPatch) -> None:
    net = Network(lambda s, x: s.o(s.a(x)), a=nn.Linear(5, 8), o=nn.Linear(8, 3))
    trace = trace_network(net, as_example((torch.randn(3, 5),)), training=False)
    hidden = next(node for node in trace.graph.nodes if node.name == "linear")
    with trace.graph.inserting_after(hidden):
        size = trace.graph.call_function(torch.ops.aten.sym_size.int, (hidden, 1))
        size.meta["val"] = 8
    solver = Solver()
    state = StateAxes(net, solver)
    infer_axes(trace, state, solver)
    assert solver.resolve(state.targets["a.weight"][0]).reason.endswith(" measures this axis")
    assert isinstance(solver.resolve(state.targets["o.weight"][0]), Frozen)


def test_buffers_that_are_written_have_the_axes_of_what_is_written() -> None:
    class Track(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.o = nn.Linear(5, 8), nn.Linear(8, 3)
            self.register_buffer("last", torch.zeros(8))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.a(x)
            self.last.copy_(y.mean(0))
            return self.o(y)

    found = infer(Track(), torch.randn(3, 5))
    assert axes(found, "last") == (axes(found, "a.weight")[0],)


def test_training_and_evaluation_share_their_axes() -> None:
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Dropout2d(), nn.Flatten(), nn.Linear(32, 3))
    solver = Solver()
    state, example = StateAxes(net, solver), as_example((torch.randn(2, 3, 4, 4),))
    infer_axes(trace_network(net, example, training=False), state, solver)
    before = solver.resolve(state.targets["0.weight"][0])
    inference = infer_axes(trace_network(net, example, training=True), state, solver)
    assert solver.resolve(state.targets["0.weight"][0]) == before
    assert solver.resolve(state.targets["1.running_mean"][0]) == before
    drawn = next(node for node in inference.outcomes if "bernoulli" in node.name)
    assert inference.axes_of(drawn)[1] == before


@pytest.mark.parametrize("layer", [nn.Dropout(), nn.AlphaDropout(), nn.RReLU(), nn.BatchNorm1d(8, affine=False)])
def test_layers_that_differ_in_training_leave_units_free(layer: nn.Module) -> None:
    found = infer(nn.Sequential(nn.Linear(5, 8), layer, nn.Linear(8, 3)), torch.randn(3, 5), training=True)
    assert isinstance(axes(found, "0.weight")[0], Atom)


def test_parameters_and_buffers_are_found_by_name() -> None:
    net = nn.Sequential(nn.BatchNorm1d(3))
    assert state_tensor(net, "0.weight") is net[0].weight
    assert state_tensor(net, "0.running_mean") is net[0].running_mean
    with pytest.raises(AttributeError, match=r"^0.eps must be a parameter or a buffer, got float; name a tensor$"):
        state_tensor(net, "0.eps")


def test_a_network_whose_rules_never_agree_is_our_own_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def restless(call: Call) -> Outcome:
        call.freeze([call.solver.fresh(4)])
        return Outcome(outputs=(call.axes("self"),))

    monkeypatch.setitem(registry._RULES, "aten::relu", restless)
    with pytest.raises(AssertionError, match="width inference did not come to rest"):
        infer(nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 3)), torch.randn(3, 5))


class Residual(nn.Module):
    """A residual stream through many blocks."""

    def __init__(self, depth: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(nn.Linear(4, 4) for _ in range(depth))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.pad(x, (0, 0))
        for block in self.blocks:
            x = x + block(x).relu()
        return x


@pytest.mark.slow
def test_the_time_is_linear_in_the_number_of_nodes() -> None:
    """Counted in resolutions of a term, not in seconds."""
    steps: list[int] = []
    for depth in (20, 80):
        net = Network(lambda s, x: s.o(s.r(s.a(x))), a=nn.Linear(5, 4), r=Residual(depth), o=nn.Linear(4, 3))
        trace = trace_network(net, as_example((torch.randn(3, 5),)), training=False)
        solver = CountingSolver()
        state = StateAxes(net, solver)
        inference = infer_axes(trace, state, solver)
        assert len({inference.solver.resolve(state.targets[f"r.blocks.{i}.weight"][0]) for i in range(depth)}) == 1
        steps.append(solver.num_steps)
    assert steps[1] < 4.5 * steps[0]


class CountingSolver(Solver):
    """Counts the bindings that are followed."""

    num_steps = 0

    def resolve(self, term: Any) -> Any:
        """Resolve and count."""
        self.num_steps += 1
        return super().resolve(term)
