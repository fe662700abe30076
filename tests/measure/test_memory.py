"""Counted by hand, and as seen on a call that frees each value after its last use."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch._higher_order_ops.scan import scan

from tests.measure.test_macs import infer
from tests.networks import CASES, draw_widths, kept_of, make_generator, shared_model
from tests.traps import Network
from widthwise.measure import count_peak_bytes, watch_peak_bytes


@pytest.mark.parametrize("name", list(CASES))
def test_the_count_is_what_is_seen_on_the_extracted_graph(name: str) -> None:
    model = shared_model(name).eval()
    inference = model._engine.sliced.evaluation.program.inference  # pyright: ignore[reportPrivateUsage, reportAttributeAccessIssue]
    for seed, batch in ((0, 1), (1, 3)):
        widths = draw_widths(model, seed)
        args, kwargs = CASES[name].sample(batch, make_generator(0), torch.float64)
        seen = watch_peak_bytes(model.extract(widths, form="graph"), args, kwargs)
        assert count_peak_bytes(inference, kept_of(model, widths), batch=batch) == seen


@settings(max_examples=5, deadline=None)
@given(inputs=st.integers(2, 6), hidden=st.integers(2, 9), outputs=st.integers(2, 6), data=st.data())
def test_a_network_of_two_layers_by_hand(inputs: int, hidden: int, outputs: int, data: st.DataObject) -> None:
    inference, keys = infer(
        nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, outputs)), torch.randn(3, inputs)
    )
    kept, batch = data.draw(st.integers(1, hidden)), data.draw(st.integers(1, 4))
    # The caller holds the input all the time; a ReLU holds what it reads beside what it gives.
    by_hand = 4 * batch * (inputs + max(2 * kept, kept + outputs))
    assert count_peak_bytes(inference, {keys["0"]: kept}, batch=batch) == by_hand


def test_what_is_written_in_place_takes_nothing_new() -> None:
    plain, in_place = (
        infer(nn.Sequential(nn.Linear(2, 8), nn.ReLU(inplace=each), nn.Linear(8, 1)), torch.randn(3, 2))[0]
        for each in (False, True)
    )
    assert count_peak_bytes(plain, {}) == 4 * (2 + 8 + 8)
    assert count_peak_bytes(in_place, {}) == 4 * (2 + 8 + 1)


def test_a_view_takes_nothing_and_keeps_what_it_looks_at() -> None:
    def run(s: Any, x: Tensor) -> Tensor:
        first = s.a(x)[:, :2]
        return s.c(s.b(x)) + first.sum(1, keepdim=True)

    inference, _ = infer(Network(run, a=nn.Linear(2, 16), b=nn.Linear(2, 4), c=nn.Linear(4, 1)), torch.randn(3, 2))
    # While b and c run, all 16 numbers that a gave are held for the sake of two of them.
    assert count_peak_bytes(inference, {}) == 4 * (2 + 16 + 4 + 1)


def test_a_reshape_is_a_copy_only_where_it_must_be() -> None:
    def run(s: Any, x: Tensor, turned: bool) -> Tensor:
        image = s.c(x)
        return s.f((image.permute(0, 2, 3, 1) if turned else image).reshape(x.shape[0], -1))

    parts = {"c": lambda: nn.Conv2d(1, 4, 1), "f": lambda: nn.Linear(64, 1)}
    peaks = [
        count_peak_bytes(
            infer(
                Network(
                    lambda s, x, turned=turned: run(s, x, turned), **{name: make() for name, make in parts.items()}
                ),
                torch.randn(3, 1, 4, 4),
            )[0],
            {},
        )
        for turned in (False, True)
    ]
    assert peaks == [4 * (16 + 64 + 1), 4 * (16 + 64 + 64)]


def test_dropout_hands_on_what_it_was_given() -> None:
    inference, _ = infer(nn.Sequential(nn.Linear(2, 8), nn.Dropout(), nn.Dropout(), nn.Linear(8, 1)), torch.randn(3, 2))
    assert count_peak_bytes(inference, {}) == 4 * (2 + 8 + 1)


def test_outputs_stay_to_the_end_and_a_value_that_nobody_reads_does_not() -> None:
    def run(s: Any, x: Tensor) -> tuple[Tensor, Tensor]:
        first = s.a(x)
        return s.o(first), s.o(s.b(x))

    inference, _ = infer(Network(run, a=nn.Linear(2, 8), b=nn.Linear(2, 8), o=nn.Linear(8, 3)), torch.randn(3, 2))
    assert count_peak_bytes(inference, {}) == 4 * (2 + 3 + 8 + 3)


def test_each_value_counts_in_its_own_dtype() -> None:
    net = Network(lambda s, x: s.o(s.a(x.float())), a=nn.Linear(4, 2), o=nn.Linear(2, 1))
    inference, _ = infer(net, torch.randint(0, 9, (3, 4)))
    assert count_peak_bytes(inference, {}) == 4 * 8 + 4 * (4 + 2)


@pytest.mark.slow
def test_the_dearest_branch_counts_and_the_rows_of_a_scan() -> None:
    def branch(s: Any, x: Tensor) -> Tensor:
        return s.o(torch.cond(x.sum() > 0, lambda z: z.relu().exp().relu(), lambda z: z + 1, (s.a(x),)))

    parts = {"a": nn.Linear(5, 6), "o": nn.Linear(6, 3)}
    inference, keys = infer(Network(branch, **parts), torch.randn(2, 5))
    for kept in (6, 2):
        # What goes into the branch, two values inside of it, and what comes out of it.
        assert count_peak_bytes(inference, {keys["a"]: kept}) <= 4 * (5 + 4 * kept) + 1
        assert count_peak_bytes(inference, {keys["a"]: kept}) >= 4 * (5 + 3 * kept)

    def steps(s: Any, x: Tensor) -> Tensor:
        y = s.a(x)
        return s.o(scan(lambda h, z: (h + z, h * z), y[:, 0] * 0, y, dim=1)[1])

    inference, keys = infer(Network(steps, a=nn.Linear(5, 6), o=nn.Linear(6, 3)), torch.randn(2, 7, 5))
    for kept in (6, 2):
        assert count_peak_bytes(inference, {keys["a"]: kept}) >= 4 * (7 * 5 + 2 * 7 * kept)


def test_memory_grows_with_the_batch_and_with_the_width() -> None:
    model = shared_model("resnet").eval()
    peaks = [[model.memory_bytes(width, batch=batch) for width in (0.25, 0.5, 1.0)] for batch in (1, 2, 4)]
    assert all(row == sorted(set(row)) for row in peaks)
    assert [row[1] for row in peaks] == [peaks[0][1] * factor for factor in (1, 2, 4)]
