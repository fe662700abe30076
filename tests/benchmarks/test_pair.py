import pytest
import torch
from torch import nn

from benchmarks.speed import pair
from benchmarks.speed.clock import Times
from benchmarks.speed.networks import Network
from tests.conftest import RandomStateCheck

TINY = Network(words="tiny", model="mlp", arguments={"sizes": [12, 16, 16, 10]}, shape=(12,), batch=8)


class Recorder(nn.Module):
    """Takes down what its generator draws."""

    def __init__(self, generator: torch.Generator) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 3)
        self.generator = generator
        self.drawn: list[int] = []

    def forward(self, x_BF: torch.Tensor) -> torch.Tensor:
        self.drawn.append(int(torch.randint(10**6, (), generator=self.generator)))
        return self.linear(x_BF)


def make_step(seeds: list[int]) -> tuple[pair.Step, Recorder]:
    generator = torch.Generator()
    net = Recorder(generator)
    batches = [(torch.ones(2, 4), torch.zeros(2, dtype=torch.int64))]
    return pair.Step(net, batches, seeds, generator, is_fused=False), net


def draws_of(*seeds: int) -> list[int]:
    return [int(torch.randint(10**6, (), generator=torch.Generator().manual_seed(seed))) for seed in seeds]


def test_after_the_warm_up_a_step_runs_at_the_first_draw() -> None:
    step, net = make_step([3, 5, 7, 9])
    for _ in range(pair.WARMUP + 5):
        step.prepare()
        step()
    assert net.drawn[pair.WARMUP :] == draws_of(3, 5, 7, 9, 3)


def test_a_rehearsed_step_goes_on_as_if_it_had_not_been() -> None:
    step, net = make_step([3, 5, 7, 9])
    step.rehearse(2)
    assert len(net.drawn) == 2 * 4
    for _ in range(pair.WARMUP + 1):
        step.prepare()
        step()
    assert net.drawn[-1:] == draws_of(3)


def test_a_step_learns() -> None:
    step, net = make_step([0])
    before = net.linear.bias.clone()
    step()
    assert not torch.equal(net.linear.bias, before)


def test_a_step_tells_the_mean_over_its_draws() -> None:
    step, _ = make_step([3, 5])
    step.rehearse(1)
    for _ in range(4):
        step()
    times = Times(wall_ns=[1_000_000, 5_000_000, 3_000_000, 5_000_000], cpu_ns=[2_000_000] * 4)
    told = step.tell(times)
    assert set(told) == {"wall_ms", "cpu_ms", "forward_ms", "backward_ms", "optimizer_ms"}
    assert (told["wall_ms"], told["cpu_ms"]) == (3.5, 2.0)
    assert min(told.values()) > 0


def test_memory_is_what_the_network_added_at_its_most(monkeypatch: pytest.MonkeyPatch) -> None:
    step, net = make_step([3, 5])
    runs_at_reset: list[int] = []
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda: 100)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda: 350)
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda: runs_at_reset.append(len(net.drawn)))
    assert pair.build_step(lambda: step, on_gpu=True) == (step, {"peak_bytes": 250})
    # What is built or compiled at first is over by then, and every draw is run once more.
    assert runs_at_reset == [2]
    assert len(net.drawn) == 4
    assert pair.build_step(lambda: step, on_gpu=False) == (step, {})


@pytest.mark.slow
@pytest.mark.parametrize("law", ["log_uniform", "octaves"])
@pytest.mark.parametrize("is_fused", [False, True])
def test_a_pair_is_timed_in_whole_and_in_parts(
    law: str, is_fused: bool, untouched_random_state: RandomStateCheck
) -> None:
    with untouched_random_state():
        result = pair.measure_pair(TINY, law, is_fused=is_fused)
    assert set(result) == {"elastic", "plain", "wall_ratio", "cpu_ratio", "macs_ratio", "law_macs_ratio"}
    for name in ("elastic", "plain"):
        times = result[name]
        assert isinstance(times, dict)
        assert set(times) == {"wall_ms", "cpu_ms", "forward_ms", "backward_ms", "optimizer_ms"}
        assert min(times.values()) > 0
    # Of 4096 draws with a mean deviation of at most 1.3 of the mean, and of as many in the mean of the law.
    assert float(str(result["macs_ratio"])) == pytest.approx(float(str(result["law_macs_ratio"])), rel=0.14)
