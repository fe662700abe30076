"""Batch norm inside an elastic model: whose statistics it uses, and whose it remembers."""

import copy

import pytest
import torch
from torch import Tensor, nn

from tests.networks import assert_same, make_generator, reset_model
from widthwise._shared import TraceError
from widthwise.elastic import Elastic, Law
from widthwise.zoo.models import MLP

FOUR = Law(lowest=1 / 10)


def sample(batch: int, seed: int = 1) -> Tensor:
    return torch.randn(batch, 2, 3, generator=make_generator(seed), dtype=torch.float64)


def statistics(net: nn.Module) -> dict[str, Tensor]:
    return {key: value.clone() for key, value in net.named_buffers()}


def make(law: Law = FOUR) -> Elastic:
    return reset_model("mlp-norm", law)


def test_running_statistics_are_those_of_the_chunk_at_full_width() -> None:
    model, x = make(), sample(10)
    plain = copy.deepcopy(model.net)
    model(x)
    # The first of the chunks of 3, 3, 2 and 2 samples.
    plain(x[:3])
    assert_same(statistics(model.net), statistics(plain))


def test_batches_are_counted_once_per_step() -> None:
    model = make()
    for _ in range(3):
        model(sample(8))
    assert model.net.norm1.num_batches_tracked == 3


def test_a_narrower_width_leaves_the_running_statistics_alone() -> None:
    model = make()
    before = statistics(model.net)
    with model.at(0.5):
        model(sample(8))
    assert_same(statistics(model.net), before)


def test_a_narrower_width_uses_the_statistics_of_its_batch() -> None:
    model, x = make(), sample(8)
    with model.at({"fc1": 4}):
        got = model(x)
    small = model.extract({"fc1": 4}).train()
    assert_same(got, small(x))


def test_with_one_chunk_the_kept_units_follow_it() -> None:
    model, x = make(Law(lowest=1 / 10, chunks=1)), sample(8)
    generator = torch.Generator()
    generator.set_state(model.generator.get_state())
    (draw,) = model.law.draw(model.groups.sizes, generator)
    before = statistics(model.net)
    kept = draw["fc1"]
    model(x)

    hidden = nn.functional.linear(x.flatten(1), model.net.fc1.weight[:kept], model.net.fc1.bias[:kept])
    assert kept < 10
    assert_same(model.net.norm1.running_mean[:kept], 0.9 * before["norm1.running_mean"][:kept] + 0.1 * hidden.mean(0))
    assert_same(model.net.norm1.running_mean[kept:], before["norm1.running_mean"][kept:])
    assert model.net.norm1.num_batches_tracked == 1


def test_of_a_grid_with_one_chunk_only_full_width_is_remembered() -> None:
    model, x = make(Law(widths=(0.5, 1.0), chunks=1)), sample(8)
    seen: dict[int, dict[str, torch.Tensor]] = {}
    while len(seen) < 2:
        generator = torch.Generator()
        generator.set_state(model.generator.get_state())
        (draw,) = model.law.draw(model.groups.sizes, generator)
        before = statistics(model.net)
        plain = copy.deepcopy(model.net)
        model(x)
        plain(x)
        assert_same(statistics(model.net), statistics(plain) if draw["fc1"] == 10 else before)
        seen[draw["fc1"]] = before


def test_a_frozen_norm_uses_and_keeps_its_running_statistics() -> None:
    model, x = make(), sample(8)
    model.net.norm1.eval()
    before = statistics(model.net)
    with model.at({"fc1": 4}):
        got = model(x)
    small = model.extract({"fc1": 4}).train()
    small.norm1.eval()
    assert_same(got, small(x))
    model(x)
    after = statistics(model.net)
    assert_same(after["norm1.running_mean"], before["norm1.running_mean"])
    assert after["norm1.num_batches_tracked"] == 0
    assert after["norm2.num_batches_tracked"] == 1
    assert not torch.equal(after["norm2.running_mean"], before["norm2.running_mean"])


def test_a_step_without_gradients_follows_the_statistics_too() -> None:
    model, x = make(), sample(8)
    plain = copy.deepcopy(model.net)
    with torch.no_grad():
        model(x)
        plain(x[:2])
    assert_same(statistics(model.net), statistics(plain))


def test_backward_is_not_disturbed_by_what_was_written() -> None:
    model, x = make(), sample(8)
    outputs = model(x)
    outputs.sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


@pytest.mark.parametrize("batch", [2, 3, 4, 5, 7])
def test_chunks_of_a_small_batch_hold_two_samples_at_least(batch: int) -> None:
    model = make()
    for _ in range(6):
        assert model(sample(batch)).isfinite().all()
    assert all(value.isfinite().all() for value in statistics(model.net).values())


def test_a_small_batch_without_a_chunk_at_full_width_leaves_the_running_statistics_alone() -> None:
    model = make()
    counts = []
    for _ in range(40):
        model(sample(2))
        counts.append(int(model.net.norm1.num_batches_tracked))
    # One of four chunks is at full width.
    assert 0 < counts[-1] < 40
    assert set(torch.tensor(counts).diff().tolist()) == {0, 1}


def test_a_batch_of_one_sample_is_an_error() -> None:
    model = make()
    with pytest.raises(
        TraceError, match=r"^batch norm in training needs more than one value per channel, got inputs of "
    ):
        model(sample(1))
    assert model.eval()(sample(1)).shape == (1, 3)


def test_norms_without_running_statistics_use_those_of_their_chunk() -> None:
    net = MLP([6, 10, 3], batch_norm=True).double()
    net.norm1 = nn.BatchNorm1d(10, track_running_stats=False, dtype=torch.float64)
    model = Elastic(net, (sample(4),), law=FOUR).train()
    with model.at(0.5):
        got = model(sample(8))
    assert_same(got, model.extract(0.5).train()(sample(8)))
    with pytest.raises(TraceError, match="more than one value per channel"):
        model(sample(1))
