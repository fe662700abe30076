"""Counted by hand, and by torch's counter where that one is right."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch._higher_order_ops.scan import scan
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from tests.networks import CASES, draw_widths, make_generator, shared_model
from tests.traps import SOUND, Network
from widthwise.graph import Inference, Solver, StateAxes, as_example, infer_axes, trace_network
from widthwise.groups import find_groups
from widthwise.measure import count_macs
from widthwise.measure.macs import _einsum


def infer(net: nn.Module, *inputs: Any) -> tuple[Inference, dict[str, int]]:
    """What is known of a network, and the keys of its groups by name."""
    solver = Solver()
    state = StateAxes(net, solver)
    inference = infer_axes(trace_network(net, as_example(inputs), training=False), state, solver)
    return inference, {group.name: group.key for group in find_groups(net, inference, state)}


def count_by_torch(net: nn.Module, *inputs: Any) -> int:
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        net(*inputs)
    flops = counter.get_total_flops()
    assert flops % 2 == 0
    return flops // 2


@settings(max_examples=5)
@given(st.integers(2, 6), st.integers(2, 6), st.integers(2, 6), st.data())
def test_linear_layers_by_hand(inputs: int, hidden: int, outputs: int, data: st.DataObject) -> None:
    net = nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, outputs))
    inference, keys = infer(net, torch.randn(3, inputs))
    kept = data.draw(st.integers(1, hidden))
    assert count_macs(inference, {}) == hidden * (inputs + outputs)
    assert count_macs(inference, {keys["0"]: kept}) == kept * (inputs + outputs)
    assert count_macs(inference, {keys["0"]: torch.arange(kept)}, batch=7) == 7 * kept * (inputs + outputs)


def test_leading_axes_multiply_and_dynamic_ones_are_those_of_the_example() -> None:
    inference, _ = infer(nn.Sequential(nn.Linear(5, 8), nn.Linear(8, 3)), torch.randn(3, 6, 5))
    assert count_macs(inference, {}) == 6 * 8 * (5 + 3)


def test_the_dearest_branch_and_every_step_of_a_scan_count() -> None:
    def run(s: Any, x: Tensor) -> Tensor:
        y = torch.cond(x.sum() > 0, lambda z: s.b(s.c(z)), lambda z: z.relu(), (s.a(x),))
        return s.o(scan(lambda h, z: (h + z, s.b(z) + h), y[:, 0] * 0, y, dim=1)[1])

    parts = {"a": nn.Linear(5, 6), "b": nn.Linear(6, 6), "c": nn.Linear(6, 6), "o": nn.Linear(6, 3)}
    inference, keys = infer(Network(run, **parts), torch.randn(3, 7, 5))
    assert list(keys) == ["a"]
    assert count_macs(inference, {}, batch=2) == 2 * 7 * (5 * 6 + 2 * 36 + 36 + 6 * 3)
    assert count_macs(inference, {keys["a"]: 2}) == 7 * (5 * 2 + 2 * 4 + 4 + 2 * 3)


CONVOLUTIONS: list[Callable[[], nn.Module]] = [
    lambda: nn.Sequential(nn.Conv2d(4, 6, 3, stride=2, padding=1), nn.Conv2d(6, 2, 1)),
    lambda: nn.Sequential(nn.Conv2d(4, 8, 3, groups=2), nn.Conv2d(8, 8, 3, groups=8), nn.Conv2d(8, 2, 1)),
    lambda: nn.Sequential(nn.ConvTranspose2d(4, 6, 3, stride=2), nn.Conv2d(6, 2, 1)),
    lambda: nn.Sequential(nn.Conv2d(4, 6, 1), nn.ConvTranspose2d(6, 4, 2, groups=2), nn.Conv2d(4, 2, 1)),
]


@pytest.mark.parametrize("make", CONVOLUTIONS)
def test_convolutions_as_torch_counts_them(make: Callable[[], nn.Module]) -> None:
    net, image = make(), torch.randn(2, 4, 7, 8)
    inference, _ = infer(net, image)
    assert count_macs(inference, {}, batch=2) == count_by_torch(net, image)


@pytest.mark.parametrize("rank", [1, 3])
def test_convolutions_of_other_ranks_as_torch_counts_them(rank: int) -> None:
    plain, transposed = [(nn.Conv1d, nn.ConvTranspose1d), None, (nn.Conv3d, nn.ConvTranspose3d)][rank - 1] or (
        None,
        None,
    )
    assert plain is not None
    assert transposed is not None
    net, x = nn.Sequential(plain(2, 6, 3), transposed(6, 4, 2), plain(4, 2, 1)), torch.randn(2, 2, *[5] * rank)
    inference, _ = infer(net, x)
    assert count_macs(inference, {}, batch=2) == count_by_torch(net, x)


def test_a_small_convolution_by_hand() -> None:
    net = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, groups=8), nn.Conv2d(8, 2, 1))
    inference, keys = infer(net, torch.randn(2, 3, 6, 6))
    for kept in (8, 5):
        by_hand = 36 * kept * 3 * 9 + 16 * kept * 9 + 16 * 2 * kept
        assert count_macs(inference, {keys["0"]: kept}) == by_hand


def test_groups_that_go_take_their_share_along() -> None:
    net, inputs = SOUND["a grouped transposed convolution"].make()
    inference, keys = infer(net, *inputs)
    image = 4 * 5
    for groups, per_group, made in ((4, 2, 3), (2, 1, 2)):
        by_hand = image * 3 * groups * per_group + image * groups * per_group * made * 4 + 4 * image * groups * made * 3
        assert count_macs(inference, {keys["c.0"]: groups, keys["c.1"]: per_group, keys["t"]: made}) == by_hand


@pytest.mark.parametrize(
    "function",
    [
        lambda s, x: s.o(s.a(x) @ s.w @ s.w.t()),
        lambda s, x: s.o(torch.addmm(s.b, s.a(x), s.w) @ s.w.t()),
        lambda s, x: s.o(torch.bmm(s.a(x).view(-1, 2, 4), s.a(x).view(-1, 4, 2)).flatten(1) @ s.v),
        lambda s, x: s.o(
            torch.baddbmm(x[:, None, :4], s.a(x).view(-1, 2, 4), s.w[:4, :4].expand(x.shape[0], 4, 4)).flatten(1)
        ),
    ],
)
def test_matrix_products_as_torch_counts_them(function: Callable[..., Tensor]) -> None:
    parts = {"w": (8, 6), "b": (6,), "v": (4, 8)}
    net = Network(
        function, a=nn.Linear(5, 8), o=nn.Linear(8, 3),
        **{name: nn.Parameter(torch.randn(shape)) for name, shape in parts.items()},
    )  # fmt: skip
    x = torch.randn(2, 5)
    inference, _ = infer(net, x)
    assert count_macs(inference, {}, batch=2) == count_by_torch(net, x)


def test_a_matrix_times_a_vector_is_a_matrix_product_too() -> None:
    net = Network(
        lambda s, x: s.o(s.a(x)) * (s.w @ s.w[0]).sum() + s.a(x) @ s.w[1], a=nn.Linear(5, 8), o=nn.Linear(8, 1),
        w=nn.Parameter(torch.randn(6, 8)),
    )  # fmt: skip
    inference, _ = infer(net, torch.randn(2, 5))
    assert count_macs(inference, {}) == 2 * 5 * 8 + 8 + 6 * 8 + 8


def test_attention_counts_both_products() -> None:
    attend = functional.scaled_dot_product_attention
    net = Network(
        lambda s, x: s.o(attend(s.q(x), s.k(x)[:, :4], s.v(x)[:, :4])).relu() + s.h(s.g(x)),
        **{name: nn.Linear(5, 6) for name in "qk"}, v=nn.Linear(5, 7), o=nn.Linear(7, 3), g=nn.Linear(5, 2),
        h=nn.Linear(2, 3),
    )  # fmt: skip
    inference, _ = infer(net, torch.randn(2, 9, 5))
    layers = 9 * (5 * (6 + 6 + 7 + 2) + 7 * 3 + 2 * 3)
    assert count_macs(inference, {}) == layers + 9 * 4 * (6 + 7)


@pytest.mark.parametrize(("kind", "gates"), [(nn.LSTM, 4), (nn.GRU, 3), (nn.RNN, 1)])
def test_recurrent_layers_count_every_gate_and_step(kind: type[nn.RNNBase], gates: int) -> None:
    net = Network(
        lambda s, x: s.o(s.r(x)[0]) + s.h(s.g(x)), r=kind(5, 6, num_layers=2, batch_first=True, bidirectional=True),
        o=nn.Linear(12, 3), g=nn.Linear(5, 2), h=nn.Linear(2, 3),
    )  # fmt: skip
    inference, _ = infer(net, torch.randn(2, 9, 5))
    steps = gates * 6 * 2 * ((5 + 6) + (12 + 6))
    assert count_macs(inference, {}) == 9 * (steps + 12 * 3 + 5 * 2 + 2 * 3)


def test_bilinear_forms_by_hand() -> None:
    net = Network(
        lambda s, x: sum([s.b(x, y[:, :4]) + s.o(y) for y in (s.a(x),)]),
        a=nn.Linear(5, 8),
        b=nn.Bilinear(5, 4, 3),
        o=nn.Linear(8, 3),
    )
    inference, _ = infer(net, torch.randn(2, 5))
    assert count_macs(inference, {}) == 5 * 8 + 8 * 3 + 3 * 5 * 4


@pytest.mark.parametrize(
    ("equation", "shapes", "macs"),
    [
        ("ij,jk->ik", [(2, 3), (3, 4)], 24),
        ("bi, oi -> bo", [(2, 3), (5, 3)], 30),
        ("...ij,...jk", [(7, 2, 3), (3, 4)], 7 * 24),
        ("...i,...i", [(2, 1, 4), (5, 4)], 40),
        ("ii", [(3, 3)], 3),
        ("b...", [(2, 3)], 6),
    ],
)
def test_sums_of_products_count_every_letter_once(equation: str, shapes: list[tuple[int, ...]], macs: int) -> None:
    assert _einsum({"equation": equation, "tensors": shapes}, ()) == macs


def test_pointwise_work_is_left_out() -> None:
    net = nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.GELU(), nn.LayerNorm(8), nn.Linear(8, 3))
    inference, _ = infer(net, torch.randn(3, 5))
    assert count_macs(inference, {}) == 8 * (5 + 3)


@pytest.mark.parametrize("name", ["mlp-norm", "resnet", "conv", "join"])
def test_a_width_costs_what_torch_counts_on_the_extracted_network(name: str) -> None:
    model = shared_model(name).eval()
    args, kwargs = CASES[name].sample(2, make_generator(0), torch.float64)
    for seed in range(3):
        widths = draw_widths(model, seed)
        assert not kwargs
        assert 2 * model.macs(widths) == count_by_torch(model.extract(widths), *args)


def test_a_transformer_layer_by_hand() -> None:
    width, heads, inner, tokens = 8, 2, 12, 5
    layer = nn.TransformerEncoderLayer(width, heads, inner, dropout=0.0, batch_first=True)
    inference, _ = infer(nn.Sequential(layer, nn.Linear(width, 3)), torch.randn(2, tokens, width))
    # Queries, keys, values and the output; scores and their sum over values; two layers of the feed-forward part.
    layers = tokens * (4 * width * width + 2 * width * inner + 3 * width)
    assert count_macs(inference, {}) == layers + 2 * tokens * tokens * width


def test_a_projected_lstm_by_hand() -> None:
    net = Network(lambda s, x: s.o(s.r(x)[0]) + s.h(s.g(x)), r=nn.LSTM(5, 6, proj_size=4, batch_first=True),
                  o=nn.Linear(4, 3), g=nn.Linear(5, 2), h=nn.Linear(2, 3))  # fmt: skip
    inference, _ = infer(net, torch.randn(2, 7, 5))
    gates, projection = 4 * 6 * (5 + 4), 6 * 4
    assert count_macs(inference, {}) == 7 * (gates + projection + 4 * 3 + 5 * 2 + 2 * 3)


def test_attention_of_few_key_heads_counts_every_query_head() -> None:
    def run(s: Any, x: Tensor) -> Tensor:
        shape = (x.shape[0], 6, -1, 4)
        query, key, value = (part(x).view(shape).transpose(1, 2) for part in (s.q, s.k, s.v))
        mixed = functional.scaled_dot_product_attention(query, key, value, enable_gqa=True)
        return s.o(mixed.transpose(1, 2).flatten(2))

    parts = {"q": nn.Linear(5, 16), "k": nn.Linear(5, 8), "v": nn.Linear(5, 8), "o": nn.Linear(16, 3)}
    inference, _ = infer(Network(run, **parts), torch.randn(2, 6, 5))
    assert count_macs(inference, {}) == 6 * (5 * (16 + 8 + 8) + 16 * 3) + 4 * 6 * 6 * (4 + 4)
