import pytest
import torch
from torch import Tensor, nn

from tests.slicing.checks.samples import Between, keep, run_full, trace
from widthwise.graph import Atom, Frozen, Product, Sum
from widthwise.slicing.checks import NodeFailure
from widthwise.slicing.checks.values import agree, cut_value, is_random, keep_mask

INF, NAN = float("inf"), float("nan")


class Gathering(nn.Module):
    """Reads whole numbers, a constant buffer and a table; makes a tensor in single precision where it is told to."""

    def __init__(self, dtype: torch.dtype | None = None) -> None:
        super().__init__()
        self.table, self.head = nn.Embedding(9, 6), nn.Linear(6, 2)
        self.register_buffer("ones", torch.ones(6))
        self._dtype = dtype

    def forward(self, tokens: Tensor, x: Tensor) -> Tensor:
        hidden = self.table(tokens).sum(1) * self.ones * x
        if self._dtype is not None:
            hidden = hidden.to(self._dtype)
        return self.head(hidden)


class Singles(nn.Module):
    """Multiplies by a matrix that is in single precision whatever the network is in."""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.head = nn.Linear(4, 6), nn.Linear(2, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.relu(self.fc(x)) @ torch.ones(6, 2))


def gather(dtype: torch.dtype | None = None) -> tuple[nn.Module, Tensor, Tensor]:
    return Gathering(dtype), torch.randint(0, 9, (4, 3)), torch.zeros(4, 1)


def test_every_node_has_its_value_at_full_width_in_double_precision() -> None:
    net = Between(lambda _, y: y)
    full = run_full(trace(net, torch.zeros(4, 5)))
    assert {value.dtype for value in full.values.values() if isinstance(value, Tensor)} == {torch.float64}
    (x,) = full.leaves
    (output,) = full.program.trace.outputs
    # The net has a bias of random numbers, so nothing was disturbed.
    torch.testing.assert_close(full.values[output], net.double()(x), rtol=0, atol=1e-12)


def test_inputs_are_drawn_anew_and_constants_disturbed_but_whole_numbers_stay() -> None:
    net, tokens, x = gather()
    network = trace(net, tokens, x)
    full = run_full(network)
    assert full.leaves[0] is tokens
    assert len(full.leaves[1].unique()) == 4
    state = dict(zip((entry.target for entry in full.program.state), full.state, strict=True))
    assert len(state["ones"].unique()) == 6
    assert float((state["ones"] - 1).min()) >= 0.0
    torch.testing.assert_close(state["head.weight"].float(), net.get_parameter("head.weight"))
    assert torch.equal(net.get_buffer("ones"), torch.ones(6))


def test_the_same_seed_gives_the_same_run() -> None:
    network = trace(Between(lambda _, y: y), torch.zeros(4, 5))
    one, other, another = (run_full(network, seed) for seed in (3, 3, 4))
    assert torch.equal(one.leaves[0], other.leaves[0])
    assert not torch.equal(one.leaves[0], another.leaves[0])


@pytest.mark.parametrize("make", [lambda: gather(torch.float32), lambda: (Singles(), torch.zeros(4, 4))])
def test_a_network_that_names_a_precision_is_run_in_its_own(make: object) -> None:
    assert callable(make)
    full = run_full(trace(*make()))
    assert {tensor.dtype for tensor in full.state} == {torch.float32}


def test_another_failure_of_the_network_is_not_hidden() -> None:
    network = trace(Between(lambda _, y: y), torch.zeros(4, 5))
    runner = network.evaluation
    with pytest.raises(RuntimeError):
        type(run_full(network))(runner, [torch.zeros(4, 6)], torch.Generator().manual_seed(0))


def test_dynamic_sizes_are_filled_in() -> None:
    network = trace(Between(lambda _, y: (y[:, None] * y[:, :, None]).flatten(0, 1)), torch.zeros(4, 5))
    full = run_full(network)
    for node in full.operators():
        for value, axes in full.outputs(node, full.values[node]):
            cut = cut_value(value, axes, {})
            assert cut.shape == value.shape
            assert "Symbol" not in repr(axes)


def test_a_cut_gathers_along_every_axis_of_units() -> None:
    a, b = Atom(1, 4), Atom(2, 3)
    value = torch.randn(2, 12, 7)
    axes = (Frozen(2, "batch"), Product((a, b)), Sum((a, b)))
    kept = {1: 2, 2: torch.tensor([0, 2])}
    rows, columns = [0, 2, 3, 5], [0, 1, 4, 6]
    assert torch.equal(cut_value(value, axes, kept), value[:, rows][:, :, columns])
    mask = torch.zeros(2, 12, 7, dtype=torch.bool)
    for row in rows:
        mask[:, row, columns] = True
    assert torch.equal(keep_mask(value, axes, kept), mask)


def test_a_cut_of_nothing_is_the_tensor_itself() -> None:
    value = torch.randn(2, 4)
    assert cut_value(value, (Frozen(2, ""), Atom(1, 4)), {2: 1}) is value
    assert bool(keep_mask(value, (Frozen(2, ""), Atom(1, 4)), {2: 1}).all())


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (torch.tensor([1.0, 2.0]), torch.tensor([1.0, 2.00001]), True),
        (torch.tensor([1.0, 2.0]), torch.tensor([1.0, 2.01]), False),
        (torch.tensor([1e6, 1.0]), torch.tensor([1e6, 2.0]), True),
        (torch.tensor([1.0], dtype=torch.float64), torch.tensor([1.00001], dtype=torch.float64), False),
        (torch.tensor([1.0, INF]), torch.tensor([1.0, INF]), True),
        (torch.tensor([1.0, INF]), torch.tensor([1.0, NAN]), False),
        (torch.tensor([1.0, INF]), torch.tensor([1.0, -INF]), False),
        (torch.tensor([1.0, INF]), torch.tensor([1.0, 2.0]), False),
        (torch.tensor([1.0]), torch.tensor([[1.0]]), False),
        (torch.tensor([1, 2]), torch.tensor([1, 3]), False),
        (torch.tensor([True]), torch.tensor([True]), True),
        (torch.zeros(0, 2), torch.zeros(0, 2), True),
    ],
)
def test_tensors_agree_within_rounding_of_the_largest_entry(one: Tensor, other: Tensor, expected: bool) -> None:
    assert agree(one, other) is expected


def test_random_operators_are_told_from_others() -> None:
    def work(_: object, y: Tensor) -> Tensor:
        drawn = torch.rand_like(y) + torch.randn(y.shape) + torch.bernoulli(y.sigmoid())
        return torch.nn.functional.dropout(drawn + 0 * torch.empty_like(y), 0.3, training=True).relu()

    full = run_full(trace(Between(work), torch.zeros(4, 5)))
    drawn = {node.name.rpartition("_")[0] or node.name for node in full.operators() if is_random(node)}
    names = {node.name for node in full.operators() if is_random(node)}
    assert {"rand_like", "randn", "bernoulli", "dropout", "empty_like"} <= names | drawn
    assert not any(name.startswith(("linear", "relu", "add", "mul", "sigmoid")) for name in names)


def test_a_failure_is_one_line() -> None:
    failure = NodeFailure(check="order", node="roll", reason="depends on the order of units")
    assert str(failure) == "order: roll depends on the order of units"


def test_a_run_cuts_its_state_and_what_a_node_yielded() -> None:
    network = trace(Between(lambda _, y: y), torch.zeros(4, 5))
    full, kept = run_full(network), keep(network, inner=5)
    state = dict(zip((entry.target for entry in full.program.state), full.cut_state(kept), strict=True))
    whole = dict(zip((entry.target for entry in full.program.state), full.state, strict=True))
    assert torch.equal(state["inner.weight"], whole["inner.weight"][:5])
    assert torch.equal(state["head.weight"], whole["head.weight"][:, :5])
    inner = next(node for node in full.operators() if node.name == "linear_1")
    assert torch.equal(full.cut(inner, kept), full.values[inner][:, :5])
    assert sorted(full.atoms(inner).values()) == [8, 12]
