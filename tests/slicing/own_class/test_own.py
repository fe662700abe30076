import copy
import pickle
from typing import Any

import pytest
import torch
from torch import fx, nn

from tests.networks import LAW, assert_same
from tests.slicing.attending import (
    NETWORKS,
    Config,
    Encoder,
    FusedGPT,
    Grouped,
    Inner,
    Merged,
    Reader,
    Speller,
    Stepper,
    Swapped,
    elastic,
    sample,
)
from widthwise.elastic import Elastic

# Heads of 4 of PyTorch's own attention go only with 4 of its inputs each.
FREE = [kind for kind in NETWORKS if kind not in (Encoder, Speller)]
WIDTHS: dict[Any, list[Any]] = {
    **{kind: [1.0, 0.5, 1 / 3, "odd", "one"] for kind in FREE},
    Encoder: [1.0, 1 / 3],
    Speller: [1.0, 0.5],
}
own_classes = pytest.mark.parametrize(
    ("kind", "width"),
    [(kind, width) for kind in NETWORKS for width in WIDTHS[kind]],
    ids=lambda value: str(value)[-24:],
)
kinds = pytest.mark.parametrize("kind", NETWORKS, ids=lambda kind: kind.__name__)


def choose(model: Elastic, width: Any) -> Any:
    """A width by its name: one unit of each group, or an odd number of each."""
    if width == "one":
        # A projected LSTM tells that it is one by having fewer outputs than units.
        return {g.name: 2 if g.name == "projected.0" else g.lower_bound for g in model.groups if g.follows}
    if width == "odd":
        return {g.name: max(g.lower_bound, g.size - 1 - i % 2) for i, g in enumerate(model.groups) if g.follows}
    return width


def extract_own(kind: Any, width: Any = None) -> nn.Module:
    model = elastic(kind)
    small = model.extract(choose(model, WIDTHS[kind][1] if width is None else width))
    assert type(small) is kind
    return small


@own_classes
def test_an_own_class_computes_what_its_graph_does_and_what_the_network_does_at_that_width(
    kind: Any, width: Any
) -> None:
    model, small = elastic(kind), extract_own(kind, width)
    graph = model.extract(choose(model, width), form="graph")
    for batch in (1, 3, 6):
        inputs = sample(kind, batch)
        with torch.no_grad():
            assert_same(small(*inputs), graph(*inputs))
            with model.at(choose(model, width)):
                assert_same(small(*inputs), model(*inputs))


@kinds
def test_an_own_class_shares_no_storage(kind: Any) -> None:
    model, small = elastic(kind), extract_own(kind)
    taken = {tensor.untyped_storage().data_ptr() for tensor in model.net.state_dict().values()}
    assert not taken & {tensor.untyped_storage().data_ptr() for tensor in small.state_dict().values()}
    before = copy.deepcopy(model.net.state_dict())
    with torch.no_grad():
        for parameter in small.parameters():
            parameter.add_(1)
    assert all(torch.equal(value, before[name]) for name, value in model.net.state_dict().items())


@kinds
def test_taking_an_own_class_leaves_the_network_as_it_was(kind: Any) -> None:
    def remembered() -> list[str]:
        return [repr(sorted((k, v) for k, v in vars(m).items() if k[0] != "_")) for m in elastic(kind).net.modules()]

    before, text = remembered(), repr(elastic(kind).net)
    extract_own(kind)
    assert remembered() == before
    assert repr(elastic(kind).net) == text


@kinds
def test_an_own_class_can_be_copied_pickled_and_loaded(kind: Any) -> None:
    small, inputs = extract_own(kind), sample(kind, 2)
    pickled = pickle.dumps(small)
    assert b"widthwise" not in pickled
    expected = small(*inputs)
    assert_same(copy.deepcopy(small)(*inputs), expected)
    assert_same(pickle.loads(pickled)(*inputs), expected)
    other = extract_own(kind)
    other.load_state_dict({name: value * 2 for name, value in small.state_dict().items()})
    small.load_state_dict(other.state_dict())
    assert_same(small(*inputs), other(*inputs))


@kinds
def test_an_own_class_trains(kind: Any) -> None:
    small = extract_own(kind).train()
    sum(part.sum() for part in torch.utils._pytree.tree_leaves(small(*sample(kind, 2)))).backward()
    assert all(parameter.grad is not None for parameter in small.parameters())


def test_numbers_of_an_attention_follow_its_heads() -> None:
    small = extract_own(FusedGPT, 1 / 3)
    attention = small.attend[0]
    assert (attention.n_head, attention.split_size, attention.head_dim) == (1, 4, 4)
    assert (small.n_layer, small.n_embd) == (2, 4)
    small = extract_own(Inner, 0.5)
    assert (small.heads, small.inner_dim, small.sizes) == (2, 10, {"wide": 10})


def test_numbers_in_an_object_that_the_network_holds_are_set_in_a_copy_of_it() -> None:
    small = extract_own(Grouped, 0.5)
    assert small.config == Config(dim=12, n_heads=3, n_kv_heads=1, head_dim=4, hidden=5)
    assert elastic(Grouped).net.config == Config()
    assert small.scale == elastic(Grouped).net.scale


def test_numbers_in_a_list_are_set_and_those_that_stand_for_something_else_are_not() -> None:
    small = extract_own(Merged, "one")
    assert (small.split, small.num_heads, small.shift) == ([1, 4], 1, (2, 2))


def test_heads_are_told_from_their_width_and_from_layers_of_the_same_number() -> None:
    small = extract_own(Swapped, 0.5)
    assert (small.num_layers, small.num_heads, small.head_dim, small.width) == (4, 2, 4, 8)


def test_recurrent_layers_say_their_sizes() -> None:
    small = extract_own(Reader, 0.5)
    assert repr(small.lstm) == repr(nn.LSTM(4, 3, num_layers=2, bidirectional=True, batch_first=True))
    assert repr(small.gru) == repr(nn.GRU(6, 3, batch_first=True))
    assert small.hidden_size == 3
    small = extract_own(Stepper, 0.5)
    assert repr(small.projected) == repr(nn.LSTM(3, 8, proj_size=2, batch_first=True))
    assert (small.gru.input_size, small.gru.hidden_size) == (4, 3)


def test_heads_of_an_attention_of_pytorch_go_with_its_embedding_only() -> None:
    small = extract_own(Encoder, 1 / 3)
    assert repr(small.encoder.layers[0]) == repr(nn.TransformerEncoderLayer(4, 1, 5, batch_first=True).eval())
    attention = small.encoder.layers[0].self_attn
    assert (attention.embed_dim, attention.num_heads, attention.head_dim) == (4, 1, 4)
    heads = {name: 1 for name in elastic(Encoder).groups.sizes if name.endswith("heads")}
    assert isinstance(elastic(Encoder).extract(heads), fx.GraphModule)


def test_two_numbers_that_mean_different_things_may_be_the_same_number() -> None:
    class Twins(nn.Module):
        """Two layers of 6 units, whose attributes do not say which one they are of."""

        def __init__(self) -> None:
            super().__init__()
            self.other, self.one = 6, 6
            self.a, self.b, self.head = nn.Linear(4, 12), nn.Linear(4, 12), nn.Linear(24, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            a = torch.relu(self.a(x)).view(-1, self.one, 2)
            b = torch.relu(self.b(x)).view(-1, 2, self.other)
            return self.head(torch.cat([a.flatten(1), b.transpose(1, 2).flatten(1)], 1))

    model = Elastic(Twins().double(), (torch.randn(3, 4, dtype=torch.float64),), law=LAW)
    small = model.extract({"a.0": 2, "b.1": 5})
    x = torch.randn(5, 4, dtype=torch.float64)
    assert type(small) is Twins
    assert (small.one, small.other) == (2, 5)
    assert small(x).shape == (5, 2)


@pytest.mark.filterwarnings("ignore:the law draws")
def test_an_attribute_that_reads_a_literal_size_too_is_put_back() -> None:
    class Stuck(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.width = 8
            self.fc, self.head = nn.Linear(5, 16), nn.Linear(8, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            hidden = torch.relu(self.fc(x)).view(-1, 2, self.width).sum(1)
            return self.head(hidden) + hidden[:, 7:]

    model = Elastic(Stuck(), (torch.randn(3, 5),), law=LAW)
    name = next(iter(model.groups)).name
    assert isinstance(model.extract({name: 1}), fx.GraphModule)
    assert model.net.width == 8
