from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.export.graph_signature import InputKind

from tests.traps import SOUND, Network
from widthwise._shared import TraceError
from widthwise.graph import Trace, as_example, overload_name, trace_network


def trace(net: nn.Module, *inputs: Any, training: bool | None = False, batch_dim: int = 0) -> Trace:
    return trace_network(net, as_example(inputs), training=training, batch_dim=batch_dim)


def linear(function: Any) -> Network:
    return Network(function, a=nn.Linear(5, 8), o=nn.Linear(8, 3), n=nn.BatchNorm1d(8), d=nn.Dropout(0.5))


PLAIN = linear(lambda s, x: s.o(s.n(s.d(s.a(x)))))


def operators(found: Trace) -> list[str]:
    return [overload_name(node.target) for node in found.graph.nodes if node.op == "call_function"]


def test_what_the_graph_reads_is_told_by_name_and_kind() -> None:
    found = trace(PLAIN, torch.randn(3, 5))
    kinds = {entry.target: entry.kind for entry in found.state}
    assert kinds["a.weight"] is InputKind.PARAMETER
    assert kinds["n.running_mean"] is InputKind.BUFFER
    assert all(found.placeholder(entry.placeholder).op == "placeholder" for entry in found.state)
    assert len(found.inputs) == 1
    assert found.constants == {}


def test_tensors_that_the_network_makes_up_are_constants() -> None:
    found = trace(linear(lambda s, x: s.o(s.a(x)) + torch.tensor([1.0, 2.0, 3.0])), torch.randn(3, 5))
    assert [value.tolist() for value in found.constants.values()] == [[1.0, 2.0, 3.0]]
    assert {entry.kind for entry in found.state} >= {InputKind.CONSTANT_TENSOR}


def test_the_batch_stays_dynamic_and_other_axes_too_where_nothing_fixes_them() -> None:
    found = trace(
        nn.Sequential(nn.Conv2d(3, 8, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 2)),
        torch.randn(2, 3, 8, 9),
    )
    assert found.symbols[found.batch_symbol] == 2
    assert sorted(found.symbols.values()) == [2, 8, 9]


def test_an_image_that_is_flattened_has_one_size() -> None:
    """Else its channels would be folded with axes of unknown size, and no layer behind could be aligned with them."""
    found = trace(nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten(), nn.Linear(8 * 12, 2)), torch.randn(2, 3, 5, 6))
    assert list(found.symbols.values()) == [2]
    found = trace(nn.Sequential(nn.Flatten(), nn.Linear(64, 2)), torch.randn(8, 1, 8, 8))
    assert list(found.symbols.values()) == [8]


def test_modes_are_kept_set_or_left_as_they_are() -> None:
    PLAIN.train()
    PLAIN.d.eval()
    for training, expected in (
        (True, {"dropout", "functional"}),
        (False, {"dropout", "batch_norm"}),
        (None, {"functional"}),
    ):
        found = trace(PLAIN, torch.randn(3, 5), training=training)
        names = " ".join(operators(found))
        assert all(word in names for word in expected)
        assert found.training is (training is not False)
        assert PLAIN.training
        assert not PLAIN.d.training
    PLAIN.eval()


def test_what_is_written_to_buffers_comes_out() -> None:
    assert trace(PLAIN, torch.randn(3, 5)).mutations == {}
    found = trace(PLAIN, torch.randn(3, 5), training=True)
    assert set(found.mutations.values()) == {"n.running_mean", "n.running_var", "n.num_batches_tracked"}
    assert set(found.mutations) <= {node.name for node in found.graph.nodes}


def test_writes_in_place_become_values() -> None:
    net, inputs = SOUND["15 a write through a view"].make()
    assert not any(name.partition(".")[0].endswith("_") for name in operators(trace(net, *inputs)))


def test_the_networks_tensors_are_not_touched() -> None:
    before = {name: value.clone() for name, value in PLAIN.state_dict().items()}
    trace(PLAIN, torch.randn(3, 5), training=True)
    assert all(torch.equal(value, before[name]) for name, value in PLAIN.state_dict().items())


def test_outputs_are_leaves_in_their_order_with_constants_as_they_are() -> None:
    found = trace(linear(lambda s, x: {"y": s.o(s.a(x)), "k": [3, x.shape[0], None]}), torch.randn(3, 5))
    assert found.outputs[0].name.startswith("linear")
    assert found.outputs[1] == 3
    assert found.output_spec.num_leaves in (3, 4)


def test_batch_axes_are_read_from_the_shapes() -> None:
    net = Network(
        lambda s, x, y: (s.o(s.a(x) + y).mT, s.a.bias.sum(), (x[..., :8] * 1).sum((1, 2))),
        a=nn.Linear(5, 8),
        o=nn.Linear(8, 3),
    )
    found = trace(net, torch.randn(4, 6, 5), torch.randn(6, 8))
    assert found.input_batch_axes() == (0, None)
    assert found.output_batch_axes() == (0, None, 0)
    found = trace(linear(lambda s, x, n: s.o(s.a(x)).transpose(0, 1) * n), torch.randn(6, 4, 5), 2, batch_dim=1)
    assert found.input_batch_axes() == (1, None)
    assert found.output_batch_axes() == (0,)


def test_a_single_sample_is_doubled() -> None:
    """Item 10: a size of 1 would become a constant, and with it everything worked out from it."""
    found = trace(linear(lambda s, x: s.o(s.a(x)) / x.shape[0]), torch.randn(1, 5))
    assert found.symbols[found.batch_symbol] == 2
    assert "aten::sym_size.int" in operators(found)


def test_a_batch_as_long_as_another_axis_is_tried_longer() -> None:
    """Item 9: only for this length may both be added, and export would quietly fix it."""
    found = trace(linear(lambda s, x: s.o(s.a(x)) if x.shape[0] != 4 else s.o(s.a(x)).relu()), torch.randn(4, 5))
    assert found.symbols[found.batch_symbol] == 8


FIXED = (
    "the batch size must stay dynamic, but the traced network works for one batch size only (a reshape, an index or a "
    "comparison fixes it); write sizes as x.shape[0] or -1, or say which axis is the batch with batch_dim="
)


@pytest.mark.parametrize(
    "function",
    [
        lambda s, x: s.a(x)[:, :4] + s.a(x)[:, :4].t(),
        lambda s, x: s.o(s.a(x).view(4, 8)),
        lambda s, x: s.o(s.a(x)) + torch.zeros(4, 1),
    ],
)
def test_a_batch_that_cannot_change_is_an_error(function: Any) -> None:
    with pytest.raises(TraceError) as caught:
        trace(linear(function), torch.randn(4, 5))
    assert str(caught.value) == FIXED


@pytest.mark.parametrize(
    ("function", "shape"),
    [
        (lambda s, x: s.o(s.a(x)) @ s.o(s.a(x)).mT, "(batch, batch)"),
        (lambda s, x: s.o(s.a(x)).view(-1), "(3*batch,)"),
    ],
)
def test_an_output_in_which_the_batch_is_no_single_axis_is_an_error(function: Any, shape: str) -> None:
    found = trace(linear(function), torch.randn(4, 5))
    assert found.input_batch_axes() == (0,)
    with pytest.raises(TraceError) as caught:
        found.output_batch_axes()
    assert str(caught.value) == (
        f"the batch must be one axis of output 0, got the shape {shape}; let the network return one row per sample, as "
        "in y.view(x.shape[0], -1)"
    )


def test_an_input_whose_batch_is_ambiguous_is_an_error() -> None:
    with pytest.raises(TraceError) as caught:
        trace(linear(lambda s, x: s.o(s.a(x + x.transpose(0, 1)))), torch.randn(4, 4, 5))
    assert str(caught.value) == (
        "the batch must be one axis of input inputs_0, got the shape (batch, batch, 5); give an example in which no "
        "other axis is as long as the batch"
    )


def test_a_mask_that_no_operator_ties_to_the_batch_costs_no_second_export(monkeypatch: pytest.MonkeyPatch) -> None:
    def attend(s: Any, x: Tensor, mask: Tensor) -> Tensor:
        h = s.a(x)
        return nn.functional.scaled_dot_product_attention(h, h, h, attn_mask=mask[:, None, None, :])

    calls: list[object] = []
    export = torch.export.export
    monkeypatch.setattr(torch.export, "export", lambda *a, **k: (calls.append(1), export(*a, **k))[1])
    net = Network(attend, a=nn.Linear(8, 8))
    trace = trace_network(net, as_example((torch.randn(2, 1, 5, 8), torch.ones(2, 5, dtype=torch.bool))))
    assert trace.input_batch_axes() == (0, 0)
    assert len(calls) == 1


def test_inputs_of_which_it_is_not_clear_whether_they_hold_samples_are_an_error() -> None:
    net = linear(lambda s, x, y: (s.o(s.a(x)), s.o(s.a(y)), y[0]))
    with pytest.raises(
        TraceError, match=r"is as long as the batch \(4\) and nothing in the network ties it to the batch"
    ):
        trace(net, torch.randn(4, 5), torch.randn(4, 5))
    assert trace(net, torch.randn(4, 5), torch.randn(6, 5)).input_batch_axes() == (0, None)
    apart = linear(lambda s, x, y: (s.o(s.a(x)), s.o(s.a(y))))
    assert trace(apart, torch.randn(4, 5), torch.randn(4, 5)).input_batch_axes() == (0, 0)

    def tied(s: Any, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        torch._check(x.shape[0] == y.shape[0])
        return s.o(s.a(x)), s.o(s.a(y))

    assert trace(linear(tied), torch.randn(4, 5), torch.randn(4, 5)).input_batch_axes() == (0, 0)


def test_branches_on_the_batch_size_are_remembered() -> None:
    """Item 11: the graph itself would run the branch that was traced, whatever the batch."""
    found = trace(linear(lambda s, x: s.o(s.a(x)) if x.shape[0] < 16 else s.a(x)[:, :3]), torch.randn(4, 5))
    assert found.batch_range == (1, 15)
    assert found.holds_for({found.batch_symbol: 15})
    assert not found.holds_for({found.batch_symbol: 16})
    even = trace(linear(lambda s, x: s.o(s.a(x)) if x.shape[0] % 2 == 0 else s.a(x)[:, :3]), torch.randn(4, 5))
    assert even.batch_range == (1, float("inf"))
    assert [even.holds_for({even.batch_symbol: batch}) for batch in (2, 3, 8)] == [True, False, True]


def test_branches_on_other_sizes_are_remembered() -> None:
    found = trace(linear(lambda s, x: s.o(s.a(x)) if x.shape[1] < x.shape[0] else s.a(x)), torch.randn(7, 4, 5))
    (time,) = set(found.symbols) - {found.batch_symbol}
    assert found.holds_for({found.batch_symbol: 7, time: 6})
    assert not found.holds_for({found.batch_symbol: 7, time: 8})


def test_a_plain_network_holds_for_any_batch() -> None:
    for net, x in ((PLAIN, torch.randn(3, 5)), (nn.Conv2d(3, 2, 3), torch.randn(3, 3, 8, 9))):
        found = trace(net, x)
        assert found.batch_range == (1, float("inf"))
        assert all(found.holds_for({found.batch_symbol: batch}) for batch in (1, 2, 1000))


def test_squeezes_and_positions_from_the_end_are_spelled_out() -> None:
    net, inputs = SOUND["squeezing whatever is single"].make()
    found = trace(net, *inputs)
    (squeeze,) = [node for node in found.graph.nodes if "squeeze" in overload_name(node.target)]
    assert squeeze.target is torch.ops.aten.squeeze.dims
    assert squeeze.args[1] == [2, 3]
    net, inputs = SOUND["17 bounds counted from the end"].make()
    bounds = [node.args[2:] for node in trace(net, *inputs).graph.nodes if "slice" in overload_name(node.target)]
    assert (0, 5) in bounds
