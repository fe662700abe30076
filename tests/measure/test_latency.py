import gc
import statistics
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from widthwise._shared import WidthwiseError
from widthwise.measure import Latency, latency, time_latency


class Clock:
    """Time that passes only where the network under test says so."""

    def __init__(self) -> None:
        self.now_ns = 0

    def __call__(self) -> int:
        return self.now_ns


class Paced(nn.Module):
    """A network whose passes take the given milliseconds, one after the other, the last for ever after."""

    def __init__(self, clock: Clock, times_ms: list[float]) -> None:
        super().__init__()
        self.clock = clock
        self.times_ms: Iterator[float] = iter([*times_ms[:-1], *([times_ms[-1]] * 10_000)])
        self.num_calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.num_calls += 1
        self.clock.now_ns += round(next(self.times_ms) * 1e6)
        return x


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    fake = Clock()
    monkeypatch.setattr(latency.time, "perf_counter_ns", fake)
    return fake


def test_median_and_percentiles_are_of_the_timed_passes(clock: Clock) -> None:
    times_ms = [float(number) for number in (11, 3, 7, 1, 9, 5, 2, 10, 4, 8, 6)]
    found = time_latency(Paced(clock, [500.0, *times_ms]), (torch.zeros(4, 2),), repeats=11, warmup=1, budget_s=60)

    deciles = statistics.quantiles(times_ms, n=10, method="inclusive")
    assert found == Latency(
        median_ms=6.0, low_ms=deciles[0], high_ms=deciles[-1], threads=1, batch=4, repeats=11, device="cpu"
    )


def test_one_pass_is_its_own_median_and_percentiles(clock: Clock) -> None:
    found = time_latency(Paced(clock, [3.0]), (torch.zeros(1),), repeats=1, warmup=0)

    assert (found.median_ms, found.low_ms, found.high_ms, found.repeats) == (3.0, 3.0, 3.0, 1)


def test_passes_stop_when_the_budget_is_spent(clock: Clock) -> None:
    found = time_latency(Paced(clock, [10.0]), (torch.zeros(1),), repeats=10_000, warmup=10, budget_s=1.0)

    assert found.repeats == 90


def test_a_few_passes_are_timed_in_any_case(clock: Clock) -> None:
    net = Paced(clock, [10_000.0])
    found = time_latency(net, (torch.zeros(1),), repeats=200, warmup=50, budget_s=1.0)

    assert found.repeats == 5
    assert net.num_calls == 6


def test_fewer_repeats_than_a_few_are_kept_to(clock: Clock) -> None:
    found = time_latency(Paced(clock, [10_000.0]), (torch.zeros(1),), repeats=2, warmup=0, budget_s=1.0)

    assert found.repeats == 2


class Witness(nn.Module):
    """Notes under which conditions it ran."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[bool, int, bool, bool]] = []

    def forward(self, x: Tensor, *, scale: Tensor) -> Tensor:
        self.seen.append((self.training, torch.get_num_threads(), torch.is_inference_mode_enabled(), gc.isenabled()))
        return x * scale


def test_the_network_runs_in_eval_mode_on_the_threads_asked_for_and_all_is_restored() -> None:
    before = torch.get_num_threads()
    net = Witness().train()

    found = time_latency(
        net, (torch.zeros(3, 2),), example_kwargs={"scale": torch.ones(2)}, threads=before + 1, repeats=5, warmup=1
    )

    assert set(net.seen) == {(False, before + 1, True, False)}
    assert (found.threads, found.batch) == (before + 1, 3)
    assert net.training
    assert torch.get_num_threads() == before
    assert gc.isenabled()


def test_all_is_restored_after_an_error() -> None:
    before = torch.get_num_threads()
    net = nn.Linear(2, 2).train()

    with pytest.raises(RuntimeError):
        time_latency(net, (torch.zeros(1, 3),), threads=before + 1)

    assert net.training
    assert torch.get_num_threads() == before
    assert gc.isenabled()


def test_a_collector_that_was_off_stays_off() -> None:
    gc.disable()
    try:
        time_latency(nn.Identity(), (torch.zeros(1),), repeats=1)
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_a_real_network_takes_time_within_its_own_spread() -> None:
    found = time_latency(nn.Linear(64, 64), (torch.zeros(1, 64),), repeats=20, budget_s=0.2)

    assert 0 < found.low_ms <= found.median_ms <= found.high_ms


def test_inputs_without_a_batch_have_batch_zero(clock: Clock) -> None:
    assert time_latency(Paced(clock, [1.0]), (torch.tensor(1.0),), repeats=1).batch == 0


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("threads", 0, "expected threads to be an integer of at least 1, got 0; give such a number"),
        ("threads", True, "expected threads to be an integer of at least 1, got True; give such a number"),
        ("repeats", 0, "expected repeats to be an integer of at least 1, got 0; give such a number"),
        ("repeats", 2.0, "expected repeats to be an integer of at least 1, got 2.0; give such a number"),
        ("warmup", -1, "expected warmup to be an integer of at least 0, got -1; give such a number"),
        ("budget_s", 0.0, "expected budget_s to be a positive number of seconds, got 0.0; give such a number"),
        ("budget_s", float("inf"), "expected budget_s to be a positive number of seconds, got inf; give such a number"),
        ("budget_s", float("nan"), "expected budget_s to be a positive number of seconds, got nan; give such a number"),
    ],
)
def test_a_number_out_of_range_is_refused(name: str, value: float, message: str) -> None:
    with pytest.raises(WidthwiseError) as caught:
        time_latency(nn.Identity(), (torch.zeros(1),), **{name: value})

    assert str(caught.value) == message
